package serve

import (
	"net/url"
	"testing"
)

// A bound of 0 is one.
func TestQueryOfNone(t *testing.T) {
	q, err := parseQuery(url.Values{"max_tries": {"0"}, "max_age": {"0"}})
	if err != nil || q.Filter.MaxTries == nil || *q.Filter.MaxTries != 0 || q.Filter.MaxAge == nil || *q.Filter.MaxAge != 0 || q.Filter.MaxSize != nil {
		t.Errorf("%+v, %v", q.Filter, err)
	}
	if _, err := parseQuery(url.Values{"max_tries": {"x"}}); err == nil {
		t.Error("x is taken for a number of tries")
	}
}
