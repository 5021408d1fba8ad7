package migrate

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Level tells what an event means for the administrator.
type Level string

// The levels.
const (
	OK    Level = "ok"    // looked at and found good
	Step  Level = "done"  // a step that has been taken
	Would Level = "would" // a step that a dry run did not take
	Note  Level = "look"  // something to look at
	Bad   Level = "bad"   // will not work, or has failed
)

// Event is one thing that a command found or did.
type Event struct {
	Level  Level  `json:"level"`
	Step   string `json:"step"`             // the check or step, one word
	Object string `json:"object,omitempty"` // mostly a path
	Text   string `json:"text,omitempty"`
}

// String is the event as a line, without its newline.
func (e Event) String() string {
	line := string(e.Level) + ": " + e.Step
	for _, part := range []string{e.Object, e.Text} {
		if part != "" {
			line += ": " + strings.ReplaceAll(part, "\n", "/")
		}
	}
	return line
}

// Report passes the events of a command on: as lines while they happen, or as
// one JSON object at the end.
type Report struct {
	Out  io.Writer
	JSON bool

	events []Event
}

// Say reports an event.
func (r *Report) Say(e Event) {
	r.events = append(r.events, e)
	if !r.JSON {
		fmt.Fprintln(r.Out, e)
	}
}

func (r *Report) say(level Level, step, object, text string) {
	r.Say(Event{level, step, object, text})
}

// count returns how many events there were of a level.
func (r *Report) count(level Level) int {
	n := 0
	for _, e := range r.events {
		if e.Level == level {
			n++
		}
	}
	return n
}

// End reports how the command ended and returns its exit code. An error is an
// event too; one that has only warned ends with Look.
func (r *Report) End(err error) Exit {
	code := Done
	switch {
	case err != nil:
		r.say(Bad, "end", "", err.Error())
		code = Failed
	case r.count(Note)+r.count(Bad) > 0:
		code = Look
	}
	if r.JSON {
		_ = json.NewEncoder(r.Out).Encode(struct { // to standard output: nobody to tell
			Exit   Exit    `json:"exit"`
			Events []Event `json:"events"`
		}{code, append([]Event{}, r.events...)})
	}
	return code
}
