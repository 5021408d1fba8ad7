package remote

import (
	"testing"

	"github.com/reqmail/reqmail/control"
)

func TestDestination(t *testing.T) {
	dns := zone{
		"MX one.example": {"a.example"}, "A a.example": {"203.0.113.71", "203.0.113.72"},
		"MX two.example": {"a.example", "b.example"}, "A b.example": {"203.0.113.73"},
		"MX same.example": {"a.example", "A.example"}, "A A.example": {"203.0.113.72"},
	}
	for _, test := range []struct {
		domain, routes string
		addrs, hosts   int // 0 for an error
	}{
		{"one.example", "", 2, 1},
		{"two.example", "", 3, 2},
		{"same.example", "", 3, 1},
		{"two.example", ":a.example", 2, 1},
		{"two.example", ":[203.0.113.77]:26", 1, 1},
		{"two.example", ":a.example:465", 0, 0}, // TLS from the first byte
		{"gone.example", "", 0, 0},
	} {
		c := &Config{HeloHost: "me.example", Routes: control.Pairs([]string{test.routes})}
		to, err := c.Destination(test.domain, dns.serve(t))
		if (err != nil) != (test.addrs == 0) {
			t.Errorf("%s, %q: %v", test.domain, test.routes, err)
			continue
		}
		if err == nil && (len(to.Addrs) != test.addrs || to.Hosts != test.hosts || to.Name != "me.example") {
			t.Errorf("%s, %q: got %+v", test.domain, test.routes, to)
		}
	}
}
