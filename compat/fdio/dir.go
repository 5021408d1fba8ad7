package fdio

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Entries reads the next entries of a directory into buf, and calls each for
// them but "." and ".."; kind is one of the DT_ constants of readdir(3). name is
// valid during the call. more is false at the end of the directory.
func (f FD) Entries(buf []byte, each func(kind byte, name []byte)) (more bool, err error) {
	n, err := unix.ReadDirent(int(f), buf)
	if err != nil || n <= 0 {
		return false, err
	}
	parseEntries(buf[:n], each)
	return true, nil
}

// parseEntries takes apart what getdents64(2) returns: records of an 8 byte
// inode number, an 8 byte position, a 2 byte record length, a type byte, and
// the name, ended by NUL.
func parseEntries(b []byte, each func(kind byte, name []byte)) {
	const lengthAt, kindAt, nameAt = 16, 18, 19
	for len(b) > nameAt {
		length := int(binary.NativeEndian.Uint16(b[lengthAt:]))
		if length <= nameAt || length > len(b) {
			return
		}
		name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
		if s := string(name); s != "" && s != "." && s != ".." {
			each(b[kindAt], name)
		}
		b = b[length:]
	}
}
