// Package cdb reads and writes constant databases (users/cdb,
// morercpthosts.cdb) in D. J. Bernstein's format, whose numbers are 32 bits
// wide: a database ends at 4 GiB. It must not know what is stored.
package cdb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

const (
	tables     = 256
	headerSize = tables * 8
)

// ErrFormat says that a file is not a database, or a damaged one.
var ErrFormat = errors.New("cdb: bad format")

// ErrTooBig says that the records do not fit into 4 GiB.
var ErrTooBig = errors.New("cdb: more than 4 GiB")

// hash is the format's hash function.
func hash(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = h*33 ^ uint32(c)
	}
	return h
}

// Find returns the data of the first record with that key. A damaged file
// gives ErrFormat or the error of the read, and costs no memory beyond what
// it holds.
func Find(r io.ReaderAt, key []byte) (data []byte, found bool, err error) {
	h := hash(key)
	table, slots, err := pair(r, int64(h%tables)*8)
	if err != nil || slots == 0 {
		return nil, false, err
	}
	at := h / tables % slots
	for range slots {
		slotHash, record, err := pair(r, int64(table)+int64(at)*8)
		if err != nil {
			return nil, false, err
		}
		if record == 0 {
			return nil, false, nil
		}
		if slotHash == h {
			data, ok, err := match(r, int64(record), key)
			if ok || err != nil {
				return data, ok, err
			}
		}
		if at++; at == slots {
			at = 0
		}
	}
	return nil, false, nil
}

// match compares the key of the record at pos and returns its data.
func match(r io.ReaderAt, pos int64, key []byte) ([]byte, bool, error) {
	keyLen, dataLen, err := pair(r, pos)
	if err != nil || int64(keyLen) != int64(len(key)) {
		return nil, false, err
	}
	found := make([]byte, keyLen)
	if err := readAt(r, found, pos+8); err != nil {
		return nil, false, err
	}
	if string(found) != string(key) {
		return nil, false, nil
	}
	// A damaged length must not be believed before the bytes are there.
	data, err := io.ReadAll(io.NewSectionReader(r, pos+8+int64(keyLen), int64(dataLen)))
	if err == nil && uint32(len(data)) != dataLen {
		err = ErrFormat
	}
	return data, err == nil, err
}

func pair(r io.ReaderAt, pos int64) (uint32, uint32, error) {
	var b [8]byte
	if err := readAt(r, b[:], pos); err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint32(b[4:]), nil
}

func readAt(r io.ReaderAt, b []byte, pos int64) error {
	if n, err := r.ReadAt(b, pos); n < len(b) {
		if err == io.EOF || err == nil {
			err = ErrFormat
		}
		return err
	}
	return nil
}

// Writer builds a database: Add for each record, then Close. Records are
// found in the order in which they were added.
type Writer struct {
	file  io.WriteSeeker
	out   *bufio.Writer
	pos   uint64
	slots [tables][]slot
}

type slot struct{ hash, pos uint32 }

// NewWriter begins a database in an empty file.
func NewWriter(file io.WriteSeeker) (*Writer, error) {
	w := &Writer{file: file, out: bufio.NewWriterSize(file, 1<<16), pos: headerSize}
	_, err := w.out.Write(make([]byte, headerSize))
	return w, err
}

// Add appends a record.
func (w *Writer) Add(key, data []byte) error {
	start := w.pos
	if err := w.advance(8 + uint64(len(key)) + uint64(len(data))); err != nil {
		return err
	}
	h := hash(key)
	w.slots[h%tables] = append(w.slots[h%tables], slot{h, uint32(start)})
	if err := w.pair(uint32(len(key)), uint32(len(data))); err != nil {
		return err
	}
	if _, err := w.out.Write(key); err != nil {
		return err
	}
	_, err := w.out.Write(data)
	return err
}

// Close writes the hash tables and the header. It neither syncs nor closes
// the file.
func (w *Writer) Close() error {
	header := make([]byte, 0, headerSize)
	for _, entries := range w.slots {
		start := w.pos
		size := uint32(2 * len(entries))
		if err := w.advance(8 * uint64(size)); err != nil {
			return err
		}
		header = binary.LittleEndian.AppendUint32(header, uint32(start))
		header = binary.LittleEndian.AppendUint32(header, size)
		for _, s := range layOut(entries, size) {
			if err := w.pair(s.hash, s.pos); err != nil {
				return err
			}
		}
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := w.file.Write(header)
	return err
}

// layOut puts the entries of one hash table into their slots.
func layOut(entries []slot, size uint32) []slot {
	table := make([]slot, size)
	for _, e := range entries {
		at := e.hash / tables % size
		for table[at].pos != 0 {
			if at++; at == size {
				at = 0
			}
		}
		table[at] = e
	}
	return table
}

func (w *Writer) advance(n uint64) error {
	if w.pos += n; w.pos > 1<<32-1 {
		return ErrTooBig
	}
	return nil
}

func (w *Writer) pair(a, b uint32) error {
	var buf [8]byte
	binary.LittleEndian.PutUint32(buf[:], a)
	binary.LittleEndian.PutUint32(buf[4:], b)
	_, err := w.out.Write(buf[:])
	return err
}
