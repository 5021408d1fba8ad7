package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^):]*)\)`) // with a colon it leads elsewhere
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noSlug  = regexp.MustCompile(`[^a-z0-9 -]`)
)

// TestLinks: where the documents point to something, it is there.
func TestLinks(t *testing.T) {
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/dev/*.md"} {
		found, _ := filepath.Glob("../../" + pattern)
		documents = append(documents, found...)
	}
	for _, path := range documents {
		for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
			target, section, _ := strings.Cut(m[1], "#")
			if target = filepath.Join(filepath.Dir(path), target); strings.HasPrefix(m[1], "#") {
				target = path
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if section != "" && !hasSection(read(t, target), section) {
				t.Errorf("%s: %s has no section %q", path, target, section)
			}
		}
	}
}

func hasSection(text, section string) bool {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		slug := noSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == section {
			return true
		}
	}
	return false
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
