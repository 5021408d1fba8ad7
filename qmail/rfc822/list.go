package rfc822

import "slices"

// RewriteList goes over the addresses of a field, name and colon first, and
// returns the field with each address replaced by what rewrite makes of it.
// Addresses come from right to left, for that is how lists are parsed with
// least trouble. It returns false where the list is none: groups that nest or
// are not opened, angle brackets that are not.
func RewriteList(field []Token, rewrite func(addr []Token) []Token) ([]Token, bool) {
	const nameAndColon = 2
	if len(field) < nameAndColon {
		return slices.Clone(field), true
	}
	p := listParser{in: field[nameAndColon:], rewrite: rewrite, wordOK: true}
	for len(p.in) > 0 {
		if !p.step() {
			return nil, false
		}
	}
	p.flush()
	slices.Reverse(p.out)
	return slices.Concat(field[:nameAndColon], p.out), true
}

// listParser works from right to left.
type listParser struct {
	in      []Token // what is left; its end is taken
	out     []Token // in reverse
	addr    []Token // of the address being collected, in reverse
	rewrite func([]Token) []Token
	inGroup bool
	wordOK  bool // a word may stand here; else it belongs to another address
}

func (p *listParser) last() Token { return p.in[len(p.in)-1] }

func (p *listParser) take() Token {
	t := p.last()
	p.in = p.in[:len(p.in)-1]
	return t
}

func (p *listParser) copy() { p.out = append(p.out, p.take()) }

// address ends the collected address, which may be empty.
func (p *listParser) address() {
	slices.Reverse(p.addr)
	rewritten := p.rewrite(p.addr)
	for _, t := range slices.Backward(rewritten) {
		p.out = append(p.out, t)
	}
	p.addr = nil
}

// flush ends the collected address if there is one.
func (p *listParser) flush() bool {
	if len(p.addr) == 0 {
		return false
	}
	p.address()
	return true
}

// flushComma also puts the comma that is missing before the next address.
func (p *listParser) flushComma() {
	if p.flush() {
		p.out = append(p.out, Token{Kind: Comma})
	}
}

// step takes the next token, or all that belongs to it.
func (p *listParser) step() bool {
	switch t := p.last(); {
	case t.Kind == Semi:
		p.flushComma()
		if p.inGroup {
			return false
		}
		p.inGroup, p.wordOK = true, true
		p.copy()
	case t.Kind == Colon:
		p.flush()
		if !p.inGroup {
			return false
		}
		p.inGroup, p.wordOK = false, true
		p.groupName()
	case t.Kind == Right:
		p.flushComma()
		p.wordOK = false
		return p.route()
	case t.word():
		if !p.wordOK {
			p.flushComma()
		}
		p.wordOK = false
		p.addr = append(p.addr, p.take())
	case t.Kind == Comment:
		p.copy()
	case t.Kind == Comma:
		p.flush()
		p.wordOK = true
		p.copy()
	default:
		p.wordOK = true
		p.addr = append(p.addr, p.take())
	}
	return true
}

// groupName copies the name of a group, and the comma before it.
func (p *listParser) groupName() {
	for len(p.in) > 0 {
		comma := p.last().Kind == Comma
		p.copy()
		if comma {
			return
		}
	}
}

// route takes an address in angle brackets and the name before it.
func (p *listParser) route() bool {
	p.copy()
	for len(p.in) > 0 && p.last().Kind != Left {
		p.addr = append(p.addr, p.take())
	}
	p.address()
	if len(p.in) == 0 {
		return false
	}
	p.copy()
	for len(p.in) > 0 {
		switch p.last().Kind {
		case Comment, Atom, Quoted, At, Dot:
			p.copy()
			continue
		}
		break
	}
	return true
}
