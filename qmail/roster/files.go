package roster

import (
	"math"
	"runtime"
	"slices"
	"sync"

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
	l, err := list()
	if err != nil {
		return nil, err
	}
	s.takeAll(l)
	s.recall()
	return s, nil
}

// listing is what the directories of the queue tell.
type listing struct {
	messages   []queue.ID // preprocessed ones
	recipients [queue.Channels]map[queue.ID]bool
}

// list reads the directories; todo first, for a message may leave that meanwhile.
func list() (l listing, err error) {
	todo, err := queue.ScanTodo()
	if err != nil {
		return l, err
	}
	waiting, err := set(todo)
	if err != nil {
		return l, err
	}
	for c := range l.recipients {
		if l.recipients[c], err = set(queue.ScanSplit(queue.Channel(c).String())); err != nil {
			return l, err
		}
	}
	err = each(queue.ScanSplit("info"), func(id queue.ID) {
		if !waiting[id] {
			l.messages = append(l.messages, id)
		}
	})
	return l, err
}

func set(scan *queue.Scan) (map[queue.ID]bool, error) {
	ids := map[queue.ID]bool{}
	return ids, each(scan, func(id queue.ID) { ids[id] = true })
}

func each(scan *queue.Scan, do func(queue.ID)) error {
	defer scan.Close()
	for {
		id, ok, more, err := scan.Next()
		if err != nil || !more {
			return err
		}
		if ok {
			do(id)
		}
	}
}

// takeAll looks at the files of all messages, a part of them on each processor.
func (s *Snapshot) takeAll(l listing) {
	size := max(1, (len(l.messages)+runtime.NumCPU()-1)/runtime.NumCPU())
	var parts []*Snapshot
	var all sync.WaitGroup
	for ids := range slices.Chunk(l.messages, size) {
		part := &Snapshot{}
		parts = append(parts, part)
		all.Go(func() {
			for _, id := range ids {
				part.take(id, [queue.Channels]bool{l.recipients[queue.Local][id], l.recipients[queue.Remote][id]})
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

// take adds a message that is preprocessed, and for which these channels have
// recipient files.
func (s *Snapshot) take(id queue.ID, listed [queue.Channels]bool) {
	state, err := queue.LookAtListed(id, listed)
	if err != nil || !state.Info {
		return
	}
	size, err := queue.MessSize(id)
	if err != nil {
		size = -1
	}
	s.Records = append(s.Records, NewRecord(id, state.Birth, size))
	for c := range s.Due {
		if state.Recipients[c] {
			s.Due[c] = append(s.Due[c], Due{id, state.NextTry[c]})
		}
	}
}
