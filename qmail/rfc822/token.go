// Package rfc822 takes address fields of mail headers apart and puts them
// together again, the way qmail does (qmail-header(5); RFC 822 3.3): tokens,
// address lists, quoting and folding. It must not know what addresses are
// rewritten to.
package rfc822

import "strings"

// Kind is what a token is.
type Kind byte

// The kinds of tokens: words, and the special characters.
const (
	Atom    Kind = 'a'
	Quoted  Kind = '"'
	Literal Kind = '['
	Comment Kind = '('
	Left    Kind = '<'
	Right   Kind = '>'
	At      Kind = '@'
	Comma   Kind = ','
	Semi    Kind = ';'
	Colon   Kind = ':'
	Dot     Kind = '.'
)

// Token is a lexical token. Text is the word without quotes, brackets,
// parentheses and backslashes; special characters have none.
type Token struct {
	Kind Kind
	Text string
}

// word reports whether the token is a word of an address.
func (t Token) word() bool { return t.Kind == Atom || t.Kind == Quoted || t.Kind == Literal }

// Parse splits text into tokens. It returns false where a quote, comment or
// literal is not closed, or one is closed that was not opened.
func Parse(text string) ([]Token, bool) {
	var tokens []Token
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case '.', ',', '@', '<', '>', ':', ';':
			tokens = append(tokens, Token{Kind: Kind(c)})
			i++
		case ')', ']':
			return nil, false
		case '(', '"', '[':
			word, next, ok := enclosed(text, i)
			if !ok {
				return nil, false
			}
			tokens = append(tokens, Token{Kind(c), word})
			i = next
		default:
			var word string
			word, i = atom(text, i)
			tokens = append(tokens, Token{atomKind(word), word})
		}
	}
	return tokens, true
}

// enclosed reads what begins with a quote, bracket or parenthesis at i, and
// returns the position behind its end. Comments nest; inner parentheses are
// dropped.
func enclosed(text string, i int) (word string, next int, ok bool) {
	open := text[i]
	end := map[byte]byte{'(': ')', '"': '"', '[': ']'}[open]
	var b strings.Builder
	for depth := 1; ; {
		i++
		if i >= len(text) {
			return "", i, false
		}
		switch c := text[i]; {
		case c == end:
			if depth--; depth == 0 {
				return b.String(), i + 1, true
			}
			continue
		case c == '(' && open == '(':
			depth++
			continue
		case c == '\\':
			if i++; i >= len(text) {
				return "", i, false
			}
		}
		b.WriteByte(text[i])
	}
}

// atom reads an atom at i and returns the position behind it.
func atom(text string, i int) (word string, next int) {
	var b strings.Builder
	for {
		if text[i] == '\\' {
			if i++; i >= len(text) {
				break
			}
		}
		b.WriteByte(text[i])
		if i++; i >= len(text) || strings.IndexByte(" \t\r\n([\"<>;:@,.", text[i]) >= 0 {
			break
		}
	}
	return b.String(), i
}

// atomKind returns Quoted for a word that must be quoted when it is written.
func atomKind(word string) Kind {
	for i := range len(word) {
		if c := word[i]; c < 32 || c > 126 || c == ')' || c == ']' || c == '\\' {
			return Quoted
		}
	}
	return Atom
}

// Unquote returns the plain text of an address: no quotes, no backslashes, no
// comments. This is its form in envelopes.
func Unquote(addr []Token) string {
	var b strings.Builder
	for _, t := range addr {
		switch t.Kind {
		case Comment:
		case Literal:
			b.WriteString("[" + t.Text + "]")
		case Atom, Quoted:
			b.WriteString(t.Text)
		default:
			b.WriteByte(byte(t.Kind))
		}
	}
	return b.String()
}

// Unparse writes tokens as a header field, with its newline. After a comma
// the line is folded where it would become longer than lineLen characters; 0
// folds nowhere.
func Unparse(tokens []Token, lineLen int) string {
	var out, line, piece strings.Builder
	pieces := 0
	end := func() {
		// In the line's length counts the fold that may come before the
		// piece, as in qmail.
		const fold = 2
		switch {
		case pieces == 0, lineLen == 0, line.Len()+fold+piece.Len() <= lineLen:
			line.WriteString(piece.String())
		default:
			out.WriteString(line.String() + "\n")
			line.Reset()
			line.WriteString(" " + piece.String())
		}
		piece.Reset()
		pieces++
	}
	var last Kind
	for _, t := range tokens {
		if needsSpace(last, t.Kind) {
			piece.WriteByte(' ')
		}
		last = t.Kind
		t.write(&piece)
		if t.Kind == Comma {
			end()
		}
	}
	end()
	return out.String() + line.String() + "\n"
}

func (t Token) write(b *strings.Builder) {
	closing := map[Kind]string{Quoted: `"`, Literal: "]", Comment: ")"}[t.Kind]
	if t.Kind != Atom {
		b.WriteByte(byte(t.Kind))
	}
	for i := range len(t.Text) {
		if strings.IndexByte("\"[]()\\\r\n", t.Text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(t.Text[i])
	}
	b.WriteString(closing)
}

// needsSpace tells whether a space goes between two tokens.
func needsSpace(last, next Kind) bool {
	isWord := func(k Kind) bool { return k == Atom || k == Literal || k == Quoted || k == Comment }
	switch {
	case last == 0:
		return false
	case last == Colon, last == Comma, next == Left:
		return true
	}
	return isWord(last) && isWord(next)
}
