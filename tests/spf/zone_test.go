package spf

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/dns/dnsmessage"
)

// record is what the test suites have of one record, or of trouble instead.
type record struct {
	A     texts     `yaml:"A"`
	AAAA  texts     `yaml:"AAAA"`
	SPF   texts     `yaml:"SPF"`
	TXT   texts     `yaml:"TXT"`
	PTR   texts     `yaml:"PTR"`
	MX    exchanger `yaml:"MX"`
	CNAME string    `yaml:"CNAME"`

	TIMEOUT   bool `yaml:"TIMEOUT"`
	SERVFAIL  bool `yaml:"SERVFAIL"`
	CNAMELOOP bool `yaml:"CNAMELOOP"`
}

// texts may stand as a list or as one text.
type texts []string

func (l *texts) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode((*[]string)(l))
	}
	*l = texts{""}
	return node.Decode(&(*l)[0])
}

type exchanger struct {
	preference uint16
	host       string
}

func (e *exchanger) UnmarshalYAML(node *yaml.Node) error {
	var pair [2]string
	if err := node.Decode(&pair); err != nil {
		return err
	}
	for _, digit := range pair[0] {
		e.preference = e.preference*10 + uint16(digit-'0')
	}
	e.host = pair[1]
	return nil
}

// nameServer answers from a zone on the port for name servers.
type nameServer struct {
	mu   sync.Mutex
	zone map[string][]record
}

// serve answers until the test ends.
func serve(t *testing.T) *nameServer {
	t.Helper()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	s := &nameServer{}
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(query)
			if err != nil {
				return
			}
			if answer := s.answer(query[:n]); answer != nil {
				_, _ = udp.WriteToUDPAddrPort(answer, from)
			}
		}
	}()
	return s
}

func (s *nameServer) load(zone map[string][]record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = map[string][]record{}
	for name, records := range zone {
		s.zone[strings.ToLower(name)] = records
	}
}

// answer is nil where the zone has a time-out.
func (s *nameServer) answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	name := q.Name
	for range 8 {
		records, ok := s.zone[strings.ToLower(strings.TrimSuffix(name.String(), "."))]
		if !ok {
			m.RCode = dnsmessage.RCodeNameError
			break
		}
		alias, silent := collect(&m, records, name, q.Type)
		if silent {
			return nil
		}
		if alias == "" {
			break
		}
		if name, ok = nameOf(alias); !ok {
			break
		}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// collect adds the records of a type to an answer. alias is where to go on.
func collect(m *dnsmessage.Message, records []record, name dnsmessage.Name, kind dnsmessage.Type) (alias string, silent bool) {
	trouble := false
	for _, r := range copied(records) {
		silent = silent || r.TIMEOUT
		trouble = trouble || r.SERVFAIL || r.CNAMELOOP
		if r.CNAME != "" {
			alias = r.CNAME
			if target, ok := nameOf(alias); ok {
				add(m, name, dnsmessage.TypeCNAME, &dnsmessage.CNAMEResource{CNAME: target})
			}
		}
		for _, body := range r.bodies(kind) {
			add(m, name, kind, body)
		}
	}
	if len(m.Answers) > 0 {
		return alias, false
	}
	if trouble {
		m.RCode = dnsmessage.RCodeServerFailure
	}
	return "", silent
}

// none is in place of texts where there shall be none, not even copied ones.
var none = texts{"NONE"}

// copied makes texts of the records of type SPF, which is no more, where
// there are none.
func copied(records []record) []record {
	for _, r := range records {
		if r.TXT != nil {
			return records
		}
	}
	var all []record
	for _, r := range records {
		if r.SPF != nil {
			r.TXT = r.SPF
		}
		all = append(all, r)
	}
	return all
}

func add(m *dnsmessage.Message, name dnsmessage.Name, kind dnsmessage.Type, body dnsmessage.ResourceBody) {
	header := dnsmessage.ResourceHeader{Name: name, Type: kind, Class: dnsmessage.ClassINET}
	m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: body})
}

// bodies are what a record holds of a type.
func (r record) bodies(kind dnsmessage.Type) []dnsmessage.ResourceBody {
	var bodies []dnsmessage.ResourceBody
	switch kind {
	case dnsmessage.TypeA:
		for _, a := range r.A {
			bodies = append(bodies, &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()})
		}
	case dnsmessage.TypeAAAA:
		for _, a := range r.AAAA {
			bodies = append(bodies, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(a).As16()})
		}
	case dnsmessage.TypeTXT:
		if r.TXT != nil && !slices.Equal(r.TXT, none) {
			bodies = append(bodies, &dnsmessage.TXTResource{TXT: pieces(strings.Join(r.TXT, ""))})
		}
	case dnsmessage.TypeMX:
		if host, ok := nameOf(r.MX.host); ok && r.MX != (exchanger{}) {
			bodies = append(bodies, &dnsmessage.MXResource{Pref: r.MX.preference, MX: host})
		}
	case dnsmessage.TypePTR:
		for _, p := range r.PTR {
			if host, ok := nameOf(p); ok {
				bodies = append(bodies, &dnsmessage.PTRResource{PTR: host})
			}
		}
	}
	return bodies
}

// pieces cuts a text into what fits into a record.
func pieces(text string) []string {
	const longest = 255
	var list []string
	for len(text) > longest {
		list, text = append(list, text[:longest]), text[longest:]
	}
	return append(list, text)
}

func nameOf(s string) (dnsmessage.Name, bool) {
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	name, err := dnsmessage.NewName(s)
	return name, err == nil
}
