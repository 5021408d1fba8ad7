package crash

import (
	"fmt"
	"slices"
	"strings"
)

// Rule is what makes one thing that a cut may leave no worse than another.
type Rule int

// The rules, each of which takes in the ones before it.
const (
	// Same: it is the other one.
	Same Rule = iota

	// OfAccount: it is the same where that matters. By the table of states of
	// package queue a message without text is none, nor is one that is neither in
	// todo nor in info, whatever else there is of it; and of one that is in todo
	// only that and the text matter. What is in pid, intd and a Maildir's tmp is
	// for its maker alone, and an empty mbox is like none.
	OfAccount

	// Again: besides, whoever is to get the message according to the other one is
	// to get it, or has got it: at worst something is delivered or told once
	// more, as after any power cut. A message that is whole in todo is to be
	// delivered to all; an mbox and a bounce may have more at their end.
	Again
)

func (r Rule) String() string {
	return [...]string{"it leaves nothing new", "what is new is of no account", "at worst something is delivered again"}[r]
}

// View looks at a choice by a rule.
type View struct {
	*World
	*Choice
	Rule
	counts []bool // paths where it matters what the choice has there
}

// By looks at a choice by a rule.
func (w *World) By(r Rule, c *Choice) *View {
	v := &View{w, c, r, make([]bool, len(w.paths))}
	for p, spot := range w.paths {
		switch {
		case r == Same:
			v.counts[p] = true
		case spot.use == inQueue:
			v.counts[p] = v.matters(spot)
		default:
			v.counts[p] = spot.use != aside
		}
	}
	return v
}

// key tells choices apart that are not the same where it matters.
func (v *View) key() string {
	var named []int
	for p, inode := range v.names {
		if v.counts[p] {
			named = append(named, p, inode, v.files[inode])
		}
	}
	return fmt.Sprint(named, v.accepted)
}

// matters reports whether a file in the queue does.
func (v *View) matters(s spot) bool {
	at := func(kind string) (inode int) {
		if p, ok := s.others[kind]; ok {
			inode = v.names[p]
		}
		return inode
	}
	todo, mess := at("todo"), at("mess")
	switch {
	case mess == 0:
		return s.kind == "mess"
	case todo != 0 && v.Rule == Again && v.isWhole(todo) && v.isWhole(mess):
		return false
	case todo != 0:
		return s.kind == "todo" || s.kind == "mess"
	case at("info") != 0:
		return s.kind != "intd"
	}
	return s.kind == "todo" || s.kind == "info"
}

// isWhole reports whether a file has all that is ever written to it.
func (v *View) isWhole(inode int) bool {
	return strings.Contains(v.contents[v.files[inode]], v.contents[v.whole[inode]])
}

// Covers reports whether a cut may leave something of s that the choice is no
// worse than, with as much promised.
func (v *View) Covers(s *Span) bool {
	for p, inode := range v.names {
		if !v.counts[p] {
			continue
		}
		if !slices.ContainsFunc(s.names[p], func(other int) bool {
			return slices.ContainsFunc(s.files[other].may, func(content int) bool {
				return inode == other && v.files[inode] == content || v.Rule != Same && v.noWorse(p, other, content)
			})
		}) {
			return false
		}
	}
	return containsAll(s.accepted, v.accepted)
}

// noWorse compares what is at a path with another file there, or none.
func (v *View) noWorse(p, other, content int) bool {
	inode := v.names[p]
	text, than := v.contents[v.files[inode]], v.contents[content]
	switch spot := v.paths[p]; {
	case spot.use == ofMails && text == than:
		return true
	case v.Rule != Again:
		return false
	case spot.use == ofMails, spot.kind == "bounce":
		return strings.HasPrefix(text, than)
	case spot.use == oneMail:
		return other == 0 && v.isWhole(inode)
	case spot.kind == "local", spot.kind == "remote":
		return v.delivers(text, than)
	}
	return false
}

// delivers reports whether all recipients that are to get the message by another
// content of a recipient file are so by this one, or have got it.
func (v *View) delivers(text, than string) bool {
	to, ok := owed(text)
	others, _ := owed(than)
	return ok && !slices.ContainsFunc(others, func(r string) bool { return !slices.Contains(to, r) && !v.got(r) })
}

// owed lists the recipients of a file that are not done; ok is false if it is not
// whole records.
func owed(text string) (to []string, ok bool) {
	for text != "" {
		var record string
		if record, text, ok = strings.Cut(text, "\x00"); !ok || record == "" {
			return nil, false
		}
		switch record[0] {
		case 'T':
			to = append(to, record[1:])
		case 'D':
		default:
			return nil, false
		}
	}
	return to, true
}

// got reports whether the message lies where a recipient gets it, or its failure
// where the bounce is made of.
func (v *View) got(recipient string) bool {
	box := boxOf(recipient)
	for p, inode := range v.names {
		if inode != 0 && v.paths[p].box == box && v.isWhole(inode) {
			return true
		}
	}
	return false
}
