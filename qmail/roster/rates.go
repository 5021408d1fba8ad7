package roster

import "github.com/reqmail/reqmail/compat/steer"

// span is how many seconds Meter looks back.
const span = 3600

// Meter counts what happens, for each second of the last hour.
type Meter struct {
	seconds [span]second
	newest  int64 // Unix seconds
}

type second struct{ arrived, ended, delivered, deferred, failed uint16 }

// At returns the counters of a second that is not before the newest one.
func (m *Meter) at(now int64) *second {
	if now-m.newest >= span {
		m.seconds = [span]second{}
		m.newest = now
	}
	for m.newest < now {
		m.newest++
		m.seconds[m.newest%span] = second{}
	}
	return &m.seconds[m.newest%span]
}

// Arrived counts a message that was preprocessed.
func (m *Meter) Arrived(now int64) { m.at(now).arrived++ }

// Ended counts a message that left the queue.
func (m *Meter) Ended(now int64) { m.at(now).ended++ }

// Delivery counts the end of a delivery; status is the spawner's K, Z or D.
func (m *Meter) Delivery(now int64, status byte) {
	s := m.at(now)
	switch status {
	case 'K':
		s.delivered++
	case 'D':
		s.failed++
	default:
		s.deferred++
	}
}

// Rates sums the seconds up to now up, at most an hour.
func (m *Meter) Rates(now, seconds int64) (r steer.Rates) {
	m.at(now)
	for i := range min(seconds, span) {
		s := &m.seconds[(m.newest-i+span)%span]
		r.Arrived += int(s.arrived)
		r.Ended += int(s.ended)
		r.Delivered += int(s.delivered)
		r.Deferred += int(s.deferred)
		r.Failed += int(s.failed)
	}
	return r
}
