package roster

import (
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/queue"
)

// Count adds to a status what is counted message by message.
func (s *Snapshot) Count(st *steer.Status) {
	st.Messages = len(s.Records)
	var oldest *Record
	for i := range s.Records {
		r := &s.Records[i]
		if r.Size == Unsized {
			st.Unsized++
		} else {
			st.Bytes += int64(r.Size)
		}
		if oldest == nil || r.Birth < oldest.Birth {
			oldest = r
		}
		if o, ok := s.Orders[r.ID]; ok && o.Held && o.Birth == int64(r.Birth) {
			st.Held++
			if o.Frozen {
				st.Frozen++
			}
		}
	}
	if oldest != nil {
		st.Oldest = &steer.Name{ID: uint64(oldest.ID), Birth: int64(oldest.Birth)}
	}
	for c, status := range []*steer.ChannelStatus{&st.Local, &st.Remote} {
		status.Messages = len(s.Due[c])
		for _, d := range s.Due[c] {
			if next := max(d.Time, s.Waits[c]); next < Never && (status.NextTry == 0 || next < status.NextTry) {
				status.NextTry = next
			}
		}
	}
	st.Todo = countTodo()
}

// countTodo counts the messages that are not preprocessed yet.
func countTodo() (n int) {
	scan, err := queue.ScanTodo()
	if err != nil {
		return 0
	}
	defer scan.Close()
	for n < steer.MaxTodo {
		_, ok, more, err := scan.Next()
		if !more || err != nil {
			break
		}
		if ok {
			n++
		}
	}
	return n
}
