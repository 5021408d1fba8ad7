package roster

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/reqmail/reqmail/queue"
	"github.com/reqmail/reqmail/queue/orders"
	"github.com/reqmail/reqmail/queue/reasons"
)

// FromFiles makes a Snapshot of the files alone, for those who look while no
// qmail-send of ours runs. The working directory is the queue. Which deliveries
// are under way is not known then; times are those that the last qmail-send has
// left, tries and reasons what it has left in the log, nil for none. Orders
// count only for a qmail-send of ours: heed says whether they are to be looked
// at. Messages that end meanwhile are left out.
func FromFiles(now int64, heed bool, log *reasons.Log) (*Snapshot, error) {
	s := &Snapshot{Now: now, Files: true, Reasons: log}
	if heed {
		var err error
		if s.Orders, _, err = orders.Read("."); err != nil {
			return nil, err
		}
	}
	todo, err := queue.ScanTodo() // first, for a message may leave that meanwhile
	if err != nil {
		return nil, err
	}
	waiting := map[queue.ID]bool{}
	if err := list(todo, waiting); err != nil {
		return nil, err
	}
	if err := s.takeAll(waiting); err != nil {
		return nil, err
	}
	s.recall()
	return s, nil
}

// list enters the messages of a scan into a set.
func list(scan *queue.Scan, ids map[queue.ID]bool) error {
	defer scan.Close()
	for {
		id, ok, more, err := scan.Next()
		if err != nil || !more {
			return err
		}
		if ok {
			ids[id] = true
		}
	}
}

// takeAll takes in the parts that the queue is split into, one on each
// processor at a time, but for messages in todo.
func (s *Snapshot) takeAll(waiting map[queue.ID]bool) error {
	parts := make([]Snapshot, queue.Split())
	errs := make([]error, len(parts))
	var next atomic.Uint64
	var all sync.WaitGroup
	for range runtime.NumCPU() {
		all.Go(func() {
			var lister queue.Lister
			var near queue.Near
			defer near.Close()
			for n := next.Add(1) - 1; n < uint64(len(parts)); n = next.Add(1) - 1 {
				errs[n] = parts[n].takePart(&lister, &near, n, waiting)
			}
		})
	}
	all.Wait()
	for _, part := range parts {
		s.Records = append(s.Records, part.Records...)
		for c := range s.Due {
			s.Due[c] = append(s.Due[c], part.Due[c]...)
		}
	}
	return errors.Join(errs...)
}

// takePart takes in one part.
func (s *Snapshot) takePart(lister *queue.Lister, near *queue.Near, n uint64, waiting map[queue.ID]bool) error {
	messages, err := lister.List(n)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if waiting[m.ID] {
			continue
		}
		if err := s.take(m, near); err != nil {
			return err
		}
	}
	return nil
}

// recall enters what the log of reasons tells.
func (s *Snapshot) recall() {
	if s.Reasons == nil {
		return
	}
	s.join()
	s.Reasons.Each(func(r reasons.Record, pos int64) {
		i, ok := s.find(r.ID)
		if !ok || int64(s.Records[i].Birth) != r.Birth {
			return
		}
		s.Records[i].Reason = pos
		s.Records[i].Tries[r.Channel] = uint16(min(r.Tries, math.MaxUint16))
	})
}

// take adds a message that is preprocessed.
func (s *Snapshot) take(m queue.Listed, near *queue.Near) error {
	state, err := near.Look(m)
	if err != nil || !state.Info {
		return err
	}
	size, err := near.Size(m.ID)
	if err != nil {
		size = -1
	}
	s.Records = append(s.Records, NewRecord(m.ID, state.Birth, size))
	for c := range s.Due {
		if state.Recipients[c] {
			s.Due[c] = append(s.Due[c], Due{m.ID, state.NextTry[c]})
		}
	}
	return nil
}
