package qlist

import (
	"slices"
	"strings"
	"syscall"
)

// Counts is what qmail-qstat tells.
type Counts struct {
	Messages int // regular files below queue/mess/*
	Todo     int // regular files below queue/todo: not yet preprocessed
}

// Count counts the messages of the queue in the home directory. What cannot be
// looked at counts nothing, and is complained about in the words of find(1), of
// which qmail-qstat used to be made: sites have filters for them.
func Count(home string, complain func(line string)) Counts {
	c := &counter{complain: complain, buf: make([]byte, 64<<10)}
	var counts Counts
	mess := home + "/queue/mess/"
	for _, name := range c.visible(mess) {
		counts.Messages += c.tree(mess + name)
	}
	counts.Todo = c.tree(home + "/queue/todo")
	return counts
}

type counter struct {
	complain func(line string)
	buf      []byte
}

// visible returns what a shell makes of "*" in dir: the sorted names without a
// dot before them, and "*" itself where there are none.
func (c *counter) visible(dir string) []string {
	var names []string
	_ = entries(dir, c.buf, func(_ byte, name []byte) {
		if name[0] != '.' {
			names = append(names, string(name))
		}
	})
	if len(names) == 0 {
		return []string{"*"}
	}
	slices.Sort(names)
	return names
}

// tree counts the regular files at and below path.
func (c *counter) tree(path string) int {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		c.trouble(path, err)
		return 0
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return 1
	case syscall.S_IFDIR:
		return c.below(path)
	}
	return 0
}

// below counts the regular files below the directory dir, without asking for
// each where the file system tells their types in the directory.
func (c *counter) below(dir string) int {
	files := 0
	var others []string
	err := entries(dir, c.buf, func(kind byte, name []byte) {
		switch kind {
		case syscall.DT_REG:
			files++
		case syscall.DT_DIR, syscall.DT_UNKNOWN:
			others = append(others, dir+"/"+string(name))
		}
	})
	if err != nil {
		c.trouble(dir, err)
	}
	for _, path := range others {
		files += c.tree(path)
	}
	return files
}

// trouble words an error as find(1) does in the C locale.
func (c *counter) trouble(path string, err error) {
	text := err.Error()
	c.complain("find: '" + path + "': " + strings.ToUpper(text[:1]) + text[1:])
}
