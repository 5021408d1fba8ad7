// Reference writes what the tables of package control/reference say into the
// documents of a source tree: docs/controls.md, and the list of files in
// man/qmail-control.5.
//
// Synopsis: reference directory; "go generate ./control/reference" runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/reqmail/reqmail/control/reference"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "reference: fatal:", err)
		os.Exit(1)
	}
}

func run(tree string) error {
	path := filepath.Join(tree, "man/qmail-control.5")
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := reference.InManual(string(page))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(tree, "docs/controls.md"), []byte(reference.Markdown()), 0o644)
}
