package reference

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/control"
)

const tree = "../.." // where the source tree begins

// TestGenerated: the documents are what the tables make of them.
func TestGenerated(t *testing.T) {
	const remedy = `: run "go generate ./control/reference"`
	if got, err := os.ReadFile(tree + "/docs/controls.md"); err != nil || string(got) != Markdown() {
		t.Error("docs/controls.md differs from the tables"+remedy, err)
	}
	page, err := os.ReadFile(tree + "/man/qmail-control.5")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := InManual(string(page)); err != nil || string(page) != want {
		t.Error("man/qmail-control.5 differs from the table"+remedy, err)
	}
}

func TestTablesAreInOrder(t *testing.T) {
	if !slices.IsSortedFunc(Files[:], func(a, b File) int { return strings.Compare(string(a.Name), string(b.Name)) }) {
		t.Error("the control files are not in the order of their names")
	}
	if !slices.IsSortedFunc(Variables[:], func(a, b Variable) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the variables are not in the order of their names")
	}
}

func TestRows(t *testing.T) {
	formats := map[Format]bool{}
	for _, m := range meanings {
		formats[m.format] = true
	}
	for _, f := range Files {
		checkRow(t, string(f.Name), f.Readers, f.Meaning)
		if !formats[f.Format] {
			t.Errorf("%s has an unknown format %q", f.Name, f.Format)
		}
		if d := control.DefaultOf(f.Name); f.Absent != "" && (d.Text != "" || d.Int != 0) {
			t.Errorf("%s has two defaults", f.Name)
		}
	}
	for _, v := range Variables {
		checkRow(t, v.Name, v.Readers, v.Meaning)
	}
}

// checkRow checks what rows of both tables have.
func checkRow(t *testing.T, name, readers, meaning string) {
	t.Helper()
	if !strings.HasSuffix(meaning, ".") {
		t.Errorf("the meaning of %s is no whole sentence: %q", name, meaning)
	}
	if readers == "" {
		t.Errorf("nobody reads %s", name)
	}
	if readers == all {
		return
	}
	for program := range strings.FieldsSeq(readers) {
		if _, err := os.Stat(filepath.Join(tree, "cmd", program)); err != nil {
			t.Errorf("%s is read by a program that does not exist: %v", name, err)
		}
	}
}

// TestEveryFileHasARow: what package control names, and what is opened by name
// below control/.
func TestEveryFileHasARow(t *testing.T) {
	rows := map[string]bool{}
	for _, f := range Files {
		directory, _, _ := strings.Cut(string(f.Name), "/")
		rows[string(f.Name)], rows[directory] = true, true
	}
	for name, where := range controlNames(t) {
		if !rows[name] {
			t.Errorf("%s: control/%s has no row in the table of control files", where, name)
		}
	}
}

// controlNames returns the control files that the source mentions, and where.
func controlNames(t *testing.T) map[string]string {
	below := regexp.MustCompile(`control/([a-z0-9.]+[a-z0-9])`)
	names := map[string]string{}
	eachFile(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.ValueSpec:
				if kind, ok := n.Type.(*ast.Ident); ok && file.Name.Name == "control" && kind.Name == "Name" {
					for _, v := range n.Values {
						names[text(v)] = path
					}
				}
			case *ast.BasicLit:
				for _, m := range below.FindAllStringSubmatch(text(n), -1) {
					if m[1] != "morercpthosts.tmp" { // written, not read
						names[m[1]] = path
					}
				}
			}
			return true
		})
	})
	return names
}

// TestEveryVariableHasARow: names in capitals that stand in a function which
// reads the environment.
func TestEveryVariableHasARow(t *testing.T) {
	rows := map[string]bool{}
	for _, v := range Variables {
		rows[v.Name] = true
	}
	for name, where := range variableNames(t) {
		if !rows[name] {
			t.Errorf("%s: %s has no row in the table of variables", where, name)
		}
	}
}

// noRow are variables by which our programs talk to each other, and words in
// capitals that are no variables.
var noRow = []string{
	"REQMAIL_LIMITS", "REQMAIL_ROLE", "REQMAIL_STARTTLS", "REQMAIL_CONNECTION", "REQMAIL_STAY", "REQMAIL_STAYS", "REQMAIL_FAULT",
	"TCP", "REMOTE", "IP", "PORT", // values and parts of names in qmail/tcpenv
}

func variableNames(t *testing.T) map[string]string {
	variable := regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)
	names := map[string]string{}
	eachFile(t, func(path string, file *ast.File) {
		for _, d := range file.Decls {
			if !readsEnvironment(d) {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && variable.MatchString(text(lit)) && !slices.Contains(noRow, text(lit)) {
					names[text(lit)] = path
				}
				return true
			})
		}
	})
	return names
}

// readsEnvironment reports whether a function calls one by which the
// environment is read, or is a declaration of the constant Variable.
func readsEnvironment(d ast.Decl) (found bool) {
	ast.Inspect(d, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == "Variable" {
			found = true
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		switch strings.ToLower(name) {
		case "getenv", "lookupenv", "lookup", "firstset", "first", "number":
			found = true
		}
		return true
	})
	return found
}

// eachFile parses all sources of installed programs.
func eachFile(t *testing.T, f func(path string, file *ast.File)) {
	t.Helper()
	for _, dir := range []string{"cmd", "qmail", "queue", "control", "compat"} {
		err := filepath.WalkDir(filepath.Join(tree, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "reference" || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				if d != nil && d.Name() == "reference" {
					return fs.SkipDir
				}
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err == nil {
				f(path, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// text is what a string literal says.
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}
