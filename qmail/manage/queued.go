package manage

import (
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/qmail/roster"
	"github.com/reqmail/reqmail/queue"
)

// Messages that are not preprocessed yet. A qmail-send that runs has them for a
// moment only; where it is stopped they are all that has come since.

// find tells all about one message, queued or preprocessed.
func find(s *roster.Snapshot, id queue.ID) (steer.Message, bool) {
	if m, ok := queued(id); ok {
		return m, true
	}
	return s.Find(id)
}

// queued tells about a message in todo. Channels are not known of its
// recipients.
func queued(id queue.ID) (m steer.Message, ok bool) {
	at, ok, err := queue.Queued(id)
	if err != nil || !ok {
		return m, false
	}
	m = steer.Message{Name: steer.Name{ID: uint64(id), Birth: at}, State: steer.Queued}
	sender, recipients, err := queue.ReadEnvelope(id)
	if err == nil {
		m.Size, err = queue.MessSize(id)
	}
	if err != nil {
		m.Trouble = "unable to read: " + err.Error()
	}
	m.Sender = sender
	for _, r := range recipients[:min(len(recipients), steer.MaxRecipients)] {
		m.Recipients = append(m.Recipients, steer.Recipient{Address: r})
	}
	m.Count, m.Left = len(recipients), len(recipients)
	return m, true
}

// eachQueued hands the messages in todo that a filter selects to fn.
func eachQueued(f *steer.Filter, now int64, fn func(steer.Message) error) error {
	scan, err := queue.ScanTodo()
	if err != nil {
		return err
	}
	defer scan.Close()
	for {
		id, ok, more, err := scan.Next()
		if !more || err != nil {
			return err
		}
		if !ok {
			continue
		}
		if m, ok := queued(id); ok && f.Match(&m, now) {
			if err := fn(m); err != nil {
				return err
			}
		}
	}
}

// listQueued lists messages in todo behind those that are preprocessed, of
// which total are selected and sent are shown.
func listQueued(q steer.Query, now int64, sent, total int, each func(steer.Message) error) (int, error) {
	var list []steer.Message
	err := eachQueued(&q.Filter, now, func(m steer.Message) error {
		list = append(list, m)
		return nil
	})
	if err != nil {
		return 0, err
	}
	q.Sort.Messages(list)
	for i := range list {
		if q.Limit > 0 && sent == q.Limit {
			break
		}
		list[i].Recipients = list[i].Recipients[:min(len(list[i].Recipients), steer.FewRecipients)]
		if err := each(list[i]); err != nil {
			return 0, err
		}
		sent++
	}
	if total >= 0 {
		total += len(list)
	}
	return total, nil
}
