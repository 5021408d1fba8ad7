// Package environ is the environment of a program to be: variables that later
// ones of the same name replace. It must not know what they mean.
package environ

import "strings"

// List is an environment, NAME=VALUE each, as os.Environ returns it. Where a
// name stands twice, Lookup takes the first, as getenv(3) does.
type List []string

// Lookup finds a variable.
func (l List) Lookup(name string) (value string, ok bool) {
	for _, entry := range l {
		if len(entry) > len(name) && entry[len(name)] == '=' && entry[:len(name)] == name {
			return entry[len(name)+1:], true
		}
	}
	return "", false
}

// With returns the environment with variables, NAME=VALUE each, in place of
// all of their names.
func (l List) With(entries ...string) List {
	changed := make(List, 0, len(l)+len(entries))
	for _, old := range l {
		if name, _, _ := strings.Cut(old, "="); !names(entries, name) {
			changed = append(changed, old)
		}
	}
	for i, entry := range entries {
		if name, _, _ := strings.Cut(entry, "="); !names(entries[i+1:], name) {
			changed = append(changed, entry)
		}
	}
	return changed
}

// Without returns the environment without a variable.
func (l List) Without(name string) List {
	changed := make(List, 0, len(l))
	for _, entry := range l {
		if !strings.HasPrefix(entry, name+"=") {
			changed = append(changed, entry)
		}
	}
	return changed
}

func names(entries []string, name string) bool {
	for _, entry := range entries {
		if strings.HasPrefix(entry, name+"=") {
			return true
		}
	}
	return false
}
