package qlist

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"golang.org/x/sys/unix"
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
	_ = c.entries(dir, func(_ byte, name []byte) {
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
	err := c.entries(dir, func(kind byte, name []byte) {
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

// entries calls f for each entry of dir but "." and ".."; kind is one of the
// DT_ constants of readdir(3). name is valid during the call.
func (c *counter) entries(dir string, f func(kind byte, name []byte)) error {
	file, err := fdio.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		n, err := unix.ReadDirent(int(file), c.buf)
		if err != nil || n <= 0 {
			return err
		}
		parseEntries(c.buf[:n], f)
	}
}

// parseEntries takes apart what getdents64(2) returns: records of an 8 byte
// inode number, an 8 byte position, a 2 byte record length, a type byte, and
// the name, ended by NUL.
func parseEntries(b []byte, f func(kind byte, name []byte)) {
	const lengthAt, kindAt, nameAt = 16, 18, 19
	for len(b) > nameAt {
		length := int(binary.NativeEndian.Uint16(b[lengthAt:]))
		if length <= nameAt || length > len(b) {
			return
		}
		name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
		if s := string(name); s != "" && s != "." && s != ".." {
			f(b[kindAt], name)
		}
		b = b[length:]
	}
}

// trouble words an error as find(1) does in the C locale.
func (c *counter) trouble(path string, err error) {
	text := err.Error()
	c.complain("find: '" + path + "': " + strings.ToUpper(text[:1]) + text[1:])
}
