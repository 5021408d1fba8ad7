package manage

import (
	"fmt"
	"strconv"

	"github.com/reqmail/reqmail/queue"
)

// Schedule is a way to space the tries of a message that is deferred every
// time. Next returns the age in seconds of the try behind one at an age; false
// where there is none any more.
type Schedule interface {
	Next(age int64) (next int64, ok bool)
}

// Qmail is qmail-send's schedule on a channel.
type Qmail struct {
	Channel  queue.Channel
	Lifetime int64 // seconds
}

// Next is the schedule; the try behind the end of the lifetime is the last.
func (q Qmail) Next(age int64) (int64, bool) {
	return queue.NextTry(0, age, q.Channel), !queue.Expired(0, age, q.Lifetime)
}

// Postfix is qmgr(8)'s schedule; its fields are the parameters of that name, in
// seconds.
type Postfix struct {
	QueueRunDelay        int64
	MinimalBackoffTime   int64
	MaximalBackoffTime   int64
	MaximalQueueLifetime int64
}

// Next is the schedule: a message waits for as long as it is old, within two
// bounds, and then for the next run of the queue.
func (p Postfix) Next(age int64) (int64, bool) {
	next := age + max(min(age, p.MaximalBackoffTime), p.MinimalBackoffTime)
	if run := p.QueueRunDelay; run > 0 {
		next = (next + run - 1) / run * run
	}
	return next, age <= p.MaximalQueueLifetime
}

// SpamExperts is the schedule that its vendor documents: each quarter of an
// hour for two hours, then at growing intervals, the first of one hour, and
// from 16 hours on each six hours.
type SpamExperts struct{ Lifetime int64 } // seconds; the documented one is four days

// Next is the schedule.
func (s SpamExperts) Next(age int64) (int64, bool) {
	const hour = 3600
	switch {
	case age < 2*hour:
		return age + hour/4, true
	case age < 16*hour:
		interval := float64(hour)
		at := int64(2 * hour)
		for at+int64(interval) <= age {
			at += int64(interval)
			interval *= 1.5
		}
		return at + int64(interval), true
	}
	return age + 6*hour, age <= s.Lifetime
}

// tries returns the ages of the tries of a schedule from one on, at most so
// many.
func tries(s Schedule, age int64, most int) (ages []int64) {
	for ok := true; ok && len(ages) < most; age, ok = s.Next(age) {
		ages = append(ages, age)
	}
	return ages
}

// Column is one schedule of a table.
type Column struct {
	Name string
	Schedule
}

// Table shows when a message born at a time is tried if it is deferred every
// time: up to rows tries of each schedule.
func Table(s *Screen, birth int64, rows int, schedules []Column) error {
	ages := make([][]int64, len(schedules))
	for i, c := range schedules {
		ages[i] = tries(c.Schedule, 0, rows)
	}
	if s.JSON {
		type column struct {
			Name  string  `json:"name"`
			Tries []int64 `json:"tries"` // Unix seconds
		}
		list := make([]column, len(schedules))
		for i, c := range schedules {
			list[i].Name = c.Name
			for _, age := range ages[i] {
				list[i].Tries = append(list[i].Tries, birth+age)
			}
		}
		return s.json(list)
	}
	heads := make([]string, len(schedules))
	for i, c := range schedules {
		heads[i] = c.Name
	}
	if s.Terminal() {
		s.line("born %s; its age at each try", s.timeText(birth))
		s.emphasis(bold, fmt.Sprintf("%4s %s", "TRY", row(heads, 13)))
	} else {
		s.fields(append([]string{"try"}, heads...)...)
	}
	for n := range rows {
		cells, any := make([]string, len(schedules)), false
		for i := range schedules {
			if n < len(ages[i]) {
				cells[i], any = s.tryText(birth, ages[i][n]), true
			}
		}
		switch {
		case !any:
			return nil
		case s.Terminal():
			s.line("%4d %s", n+1, row(cells, 13))
		default:
			s.fields(append([]string{strconv.Itoa(n + 1)}, cells...)...)
		}
	}
	return nil
}

// tryText shows a try by its age on a terminal, by its time elsewhere.
func (s *Screen) tryText(birth, age int64) string {
	if s.Terminal() {
		return spanText(age)
	}
	return s.timeText(birth + age)
}

func row(cells []string, wide int) (text string) {
	for _, c := range cells {
		text += fmt.Sprintf("%-*s ", wide, clip(c, wide))
	}
	return text
}
