// Package mbox writes messages into files of mbox(5) format. It must not know
// whose files they are or how they are locked.
package mbox

import (
	"bufio"
	"io"
)

// QuoteFrom copies a message and puts ">" before every line that begins with
// any number of ">" and "From ", so that readers can tell it from a From_
// line. A last line without newline gets one. The error is the reader's.
func QuoteFrom(out *bufio.Writer, message io.Reader) error {
	in := bufio.NewReaderSize(message, 16<<10)
	for {
		err := quoteLine(out, in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// quoteLine copies one line, io.EOF if it was the last one.
func quoteLine(out *bufio.Writer, in *bufio.Reader) error {
	const mark = "From "
	start, err := in.Peek(len(mark))
	if len(start) == 0 {
		return err
	}
	for ; len(start) > 0 && start[0] == '>'; start, _ = in.Peek(len(mark)) {
		_ = out.WriteByte('>')
		_, _ = in.Discard(1)
	}
	if string(start) == mark {
		_ = out.WriteByte('>') // behind the others it makes the same line
	}
	for {
		part, err := in.ReadSlice('\n')
		_, _ = out.Write(part)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == io.EOF {
			_ = out.WriteByte('\n')
		}
		return err
	}
}
