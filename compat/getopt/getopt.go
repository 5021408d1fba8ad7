// Package getopt parses options the way the C programs of qmail do: clusters
// and attached arguments, an end behind "--", or before "-" alone or the
// first operand. It must not know any program's options.
package getopt

import (
	"io"
	"strings"
)

// Parser walks over the options of a command line.
type Parser struct {
	name    string
	options string
	args    []string
	cluster string
	errors  io.Writer

	// Arg is the argument of the option that Next returned last.
	Arg string
}

// New returns a parser for args (argv, with the program's name first).
// options lists the option letters, each followed by ":" if it takes an
// argument. Errors are written to errors in qmail's words.
func New(args []string, options string, errors io.Writer) *Parser {
	p := &Parser{options: options, errors: errors}
	if len(args) > 0 {
		p.name, p.args = args[0][strings.LastIndexByte(args[0], '/')+1:], args[1:]
	}
	return p
}

// Next returns the next option letter, '?' for one that is unknown or lacks
// its argument (after the complaint was written), and false at the end.
func (p *Parser) Next() (byte, bool) {
	if p.cluster == "" {
		if len(p.args) == 0 || len(p.args[0]) < 2 || p.args[0][0] != '-' {
			return 0, false
		}
		p.cluster = p.args[0][1:]
		p.args = p.args[1:]
		if p.cluster[0] == '-' { // "--", and in C any word that begins so
			p.cluster = ""
			return 0, false
		}
	}
	letter := p.cluster[0]
	p.cluster = p.cluster[1:]
	at := strings.IndexByte(p.options, letter)
	if at < 0 || letter == ':' {
		p.complain("illegal option", letter)
		return '?', true
	}
	if at+1 == len(p.options) || p.options[at+1] != ':' {
		return letter, true
	}
	switch {
	case p.cluster != "":
		p.Arg, p.cluster = p.cluster, ""
	case len(p.args) > 0:
		p.Arg, p.args = p.args[0], p.args[1:]
	default:
		p.complain("option requires an argument", letter)
		return '?', true
	}
	return letter, true
}

func (p *Parser) complain(what string, letter byte) {
	_, _ = io.WriteString(p.errors, p.name+": "+what+" -- "+string([]byte{letter})+"\n")
}

// Operands returns what follows the options; valid once Next has returned
// false.
func (p *Parser) Operands() []string { return p.args }

// SkipCluster drops the rest of the word that the last option stands in.
func (p *Parser) SkipCluster() { p.cluster = "" }
