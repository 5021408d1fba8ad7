package crash

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/reqmail/reqmail/tests/host"
)

// failure is what the paragraph of a bounce says.
const failure = ">:\nSorry, no mailbox here by that name."

// judge compares what arrived with what was accepted.
//
// A delivery that was done before the cut may be done again if its record is
// not on disk: the recipient is not marked, or the message is in todo again.
// That, and no more, is how often anything may arrive.
func judge(h *host.Host, messages []message, before State, token string, accepted map[string]bool, v *Verdict) {
	after := State{Files: map[string]string{}}
	for _, pattern := range []string{"mail/" + token + "/mbox", "mail/" + token + "/*/new/*", "far/" + token + "-*"} {
		found, _ := filepath.Glob(h.Path(pattern))
		for _, file := range found {
			if content, err := os.ReadFile(file); err == nil {
				after.Files[strings.TrimPrefix(file, h.Home+"/")] = string(content)
			}
		}
	}
	for _, m := range messages {
		for _, box := range m.expects() {
			n := after.copies(m, box, token)
			if n == 0 && accepted[m.name] {
				v.say(&v.Lost, "%s never reached %s", m.name, box)
			}
			if most := before.copies(m, box, token) + before.owed(m, box, token); n > most {
				v.say(&v.Duplicates, "%s is %d times in %s, at most %d", m.name, n, box, most)
			}
		}
	}
	for file, content := range after.Files {
		if strings.Contains(file, "/new/") && !known(messages, file, content, token) {
			v.say(&v.Corrupted, "%s has other bytes: %.80q (%d)", file, content, len(content))
		}
	}
	mbox := "mail/" + token + "/" + inMbox
	if added, ok := strings.CutPrefix(after.Files[mbox], before.Files[mbox]); !ok || !appended(messages, before.Files[mbox], added, token) {
		v.say(&v.Corrupted, "the mbox has other bytes: %.300q behind %.80q", added, before.Files[mbox])
	}
}

// appended reports whether what was added to an mbox are whole messages, which
// do not run into what stood at its end.
func appended(messages []message, before, added, token string) bool {
	if added != "" && before != "" && !strings.HasSuffix(before, "\n") {
		var ok bool
		if added, ok = strings.CutPrefix(added, "\n\n"); !ok {
			return false
		}
	}
	for added != "" {
		head, rest, _ := strings.Cut(added, "Subject: ")
		i := slices.IndexFunc(messages, func(m message) bool {
			return strings.HasPrefix("Subject: "+rest, m.body(token)+"\n")
		})
		if i < 0 || !strings.HasPrefix(head, "From ") || strings.Contains(head, "\nFrom ") {
			return false
		}
		added = ("Subject: " + rest)[len(messages[i].body(token))+1:]
	}
	return true
}

// copies counts how often a message, or its bounce, has arrived whole.
func (s *State) copies(m message, box, token string) int {
	n := 0
	for file, content := range s.Files {
		switch box {
		case far:
			if strings.HasPrefix(file, "far/"+token) && strings.HasSuffix(content, m.body(token)) {
				n++
			}
		case inMbox:
			if file == "mail/"+token+"/"+inMbox {
				n += strings.Count(content, m.body(token)+"\n")
			}
		default:
			if strings.HasPrefix(file, "mail/"+token+"/"+box+"/new/") && wholeIn(m, box, content, token) {
				n++
			}
		}
	}
	return n
}

func wholeIn(m message, box, content, token string) bool {
	return strings.HasPrefix(content, "Return-Path: <") && strings.HasSuffix(content, m.body(token)) &&
		(box != back || strings.Count(content, failure) >= 1)
}

func known(messages []message, file, content, token string) bool {
	box := path.Base(path.Dir(path.Dir(file)))
	for _, m := range messages {
		if wholeIn(m, box, content, token) {
			return true
		}
	}
	return false
}

// owed counts how often a message, or its bounce, is still to be delivered to
// a mailbox as the queue has it.
func (s *State) owed(m message, box, token string) int {
	n := 0
	for file, text := range s.Files {
		number, ok := strings.CutPrefix(file, "queue/mess/")
		if !ok || !strings.Contains(text, "ID-"+m.name+"-"+token) {
			continue
		}
		id := path.Base(number)
		_, todo := s.Files["queue/todo/"+id]
		_, info := s.Files["queue/info/"+number]
		records := s.Files["queue/todo/"+id] + s.Files["queue/local/"+number] + s.Files["queue/remote/"+number]
		failing := box
		if box == back && !strings.Contains(text, failure) {
			failing = nobody
		}
		if (todo || info) && (strings.Contains(records, recipient(failing, token)) ||
			failing == nobody && s.Files["queue/bounce/"+id] != "") {
			n++
		}
	}
	return n
}
