package serve

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/reqmail/reqmail/compat/steer"
)

// metricsType is Prometheus' text format.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// gauge is one metric; labels is empty or {name="value",…}.
type gauge struct {
	name, help string
	samples    []sample
}

type sample struct {
	labels string
	value  int64
}

func one(value int64) []sample { return []sample{{"", value}} }

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

// gauges returns what a status says. All are gauges: qmail-send counts over
// the spans that it tells of, not from its start.
func gauges(st steer.Status) []gauge {
	var oldest int64
	if st.Oldest != nil {
		oldest = max(0, st.Now-st.Oldest.Birth)
	}
	channels := func(value func(steer.ChannelStatus) int64) []sample {
		return []sample{{`{channel="local"}`, value(st.Local)}, {`{channel="remote"}`, value(st.Remote)}}
	}
	list := []gauge{
		{"reqmail_up", "Whether qmail-send answers.", one(1)},
		{"reqmail_queue_messages", "Messages in the queue that are preprocessed.", one(int64(st.Messages))},
		{"reqmail_queue_bytes", "Bytes of their texts.", one(st.Bytes)},
		{"reqmail_queue_todo_messages", "Messages that are not yet preprocessed.", one(int64(st.Todo))},
		{"reqmail_queue_held_messages", "Messages that are held, frozen ones too.", one(int64(st.Held))},
		{"reqmail_queue_frozen_messages", "Messages that are frozen.", one(int64(st.Frozen))},
		{"reqmail_queue_oldest_age_seconds", "Age of the oldest message.", one(oldest)},
		{"reqmail_channel_messages", "Messages with recipients left on a channel.", channels(func(c steer.ChannelStatus) int64 { return int64(c.Messages) })},
		{"reqmail_deliveries_running", "Deliveries under way.", channels(func(c steer.ChannelStatus) int64 { return int64(c.Running) })},
		{"reqmail_deliveries_allowed", "Most deliveries at a time.", channels(func(c steer.ChannelStatus) int64 { return int64(c.Allowed) })},
		{"reqmail_channel_suspended", "Whether a channel is suspended.", channels(func(c steer.ChannelStatus) int64 { return flag(c.Suspended) })},
	}
	for _, r := range []struct {
		name, help string
		value      func(steer.Rates) int
	}{
		{"arrived_messages", "Messages preprocessed in the last span.", func(r steer.Rates) int { return r.Arrived }},
		{"ended_messages", "Messages that left the queue in the last span.", func(r steer.Rates) int { return r.Ended }},
		{"delivered", "Deliveries that succeeded in the last span.", func(r steer.Rates) int { return r.Delivered }},
		{"deferred", "Deliveries that were deferred in the last span.", func(r steer.Rates) int { return r.Deferred }},
		{"failed", "Deliveries that failed for good in the last span.", func(r steer.Rates) int { return r.Failed }},
	} {
		list = append(list, gauge{"reqmail_recent_" + r.name, r.help, []sample{
			{`{span="1m"}`, int64(r.value(st.Minute))}, {`{span="1h"}`, int64(r.value(st.Hour))},
		}})
	}
	return list
}

// metrics answers although qmail-send does not run: that is what reqmail_up
// tells.
func (c *call) metrics() error {
	list := []gauge{{"reqmail_up", "Whether qmail-send answers.", one(0)}}
	err := c.converse(func(q Queue) error {
		st, err := q.Status()
		if err == nil {
			list = gauges(st)
		}
		return err
	})
	if err != nil && !errors.Is(err, steer.ErrNobody) {
		return err
	}
	c.w.Header().Set("Content-Type", metricsType)
	w := bufio.NewWriter(c.w)
	for _, g := range list {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n", g.name, g.help, g.name)
		for _, s := range g.samples {
			fmt.Fprintf(w, "%s%s %d\n", g.name, s.labels, s.value)
		}
	}
	_ = w.Flush() // the client may have gone
	return nil
}
