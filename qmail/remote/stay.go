package remote

import (
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/errand"
	"github.com/reqmail/reqmail/compat/ext"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/wire"
)

// Results that are not for the report.
var (
	// resStale is that of a connection that has served before and does not
	// take the message: a new one may.
	resStale = &result{}
	// resDeclined is that of a delivery that this process cannot do.
	resDeclined = &result{}
)

// depot is a qmail-remote that stays and has many deliveries at a time, a
// goroutine each.
type depot struct {
	post      *resident.Post
	home      string
	libraries *Libraries
	firstOut  io.Writer // of the first job

	config configCache
	dns    resolverCache
	host   hostCache
	idle   idle
	dead   sync.Mutex // one thread at a time waits for the table of dead hosts

	running   sync.WaitGroup
	mu        sync.Mutex
	jobs      map[*job]struct{}
	telling   bool // a timer runs
	gathering map[occasion]*party
	flights   map[occasion]*party // the latest
}

// job is one recipient's delivery.
type job struct {
	errand.Job
	message fdio.FD
	file    fileState // the message's
	alone   bool      // he gets a transaction for himself
	began   time.Time
	watch   *watch
	told    errand.News
}

// Stay is Run for a process that was asked to stay: the operands, which must
// name one recipient, are its first delivery, and others come by the post. It
// returns when they have ended and nobody sends more.
func Stay(post *resident.Post, args []string, home string, message, out fdio.FD, libraries *Libraries) {
	p := newDepot(post, home, libraries)
	p.firstOut = out
	first, ok := p.first(args, message)
	if !ok {
		post.Close()
		Run(args, home, message, out, libraries)
		return
	}
	p.start(first)
	p.serve()
}

func newDepot(post *resident.Post, home string, libraries *Libraries) *depot {
	return &depot{
		post: post, home: home, libraries: libraries,
		config: configCache{path: home + "/control"}, idle: idle{links: map[terms][]*kept{}},
		jobs: map[*job]struct{}{}, gathering: map[occasion]*party{}, flights: map[occasion]*party{},
	}
}

// first makes the first job, if the process can stay.
func (p *depot) first(args []string, message fdio.FD) (*job, bool) {
	const oneRecipient = 3
	if len(args) != oneRecipient || syscall.Chdir(p.home) != nil {
		return nil, false
	}
	if p.libraries == nil && ext.Available(p.home) {
		p.become()
	}
	copied, err := fdio.DupAbove(message, 0)
	if err != nil {
		return nil, false
	}
	if p.post.Stay(errand.Name, nil) != nil {
		copied.Close()
		return nil, false
	}
	return &job{Job: errand.Job{Number: errand.First, Host: args[0], Sender: args[1], Recipient: args[2]}, message: copied}, true
}

// become goes over to the second binary, which can do everything that one of
// many deliveries may need. It returns only if that fails.
func (p *depot) become() {
	variable, copied, err := p.post.HandOver()
	if err != nil {
		return
	}
	_ = ext.Become(p.home, Role, variable)
	copied.Close()
}

// serve takes jobs until nobody sends any, and returns when all have ended. One
// whose message does not get in, for there are too many open files, is
// declined, and kept connections make room.
func (p *depot) serve() {
	defer p.idle.close()
	defer p.running.Wait()
	buf := make([]byte, resident.MaxDatagram)
	for {
		data, files, err := p.post.Receive(buf)
		if err != nil && err != syscall.EMSGSIZE {
			return
		}
		e, ok := errand.ParseJob(data)
		if !ok || len(files) > 1 {
			resident.Close(files)
			return
		}
		if len(files) == 0 {
			p.idle.dismiss()
			_ = p.post.Send(errand.Answer{Number: e.Number, Kind: errand.Declined}.Append(nil))
			continue
		}
		p.start(&job{Job: e, message: files[0]})
	}
}

func (p *depot) start(j *job) {
	j.began, j.watch = time.Now(), &watch{}
	p.running.Add(1)
	p.mu.Lock()
	p.jobs[j] = struct{}{}
	if !p.telling {
		p.telling = true
		time.AfterFunc(tellInterval, p.tell)
	}
	p.mu.Unlock()
	go p.deliver(j)
}

// finish reports what became of a job.
func (p *depot) finish(j *job, a errand.Answer) {
	a.Number = j.Number
	if j.Number == errand.First {
		// Its output goes where a new process would print it.
		_, _ = p.firstOut.Write(a.Output)
		a.Output = nil
		_ = resident.Detach()
	}
	p.mu.Lock()
	delete(p.jobs, j)
	p.mu.Unlock()
	// Nobody left to read is nobody left to tell.
	_ = p.post.Send(a.Append(nil))
	p.running.Done()
}

// deliver carries out a job, or has it join a transaction.
func (p *depot) deliver(j *job) {
	x, config, targets, res := p.plan(j)
	if res != nil {
		p.settle(x, []*job{j}, res)
		j.message.Close()
		return
	}
	o := occasion{j.file.device, j.file.inode, j.Sender, config, x.source, routeOf(targets), !ascii(j.Recipient)}
	if g := p.join(o, j); g != nil {
		p.lead(g, x, targets)
	}
}

// plan finds out where a job's message goes.
func (p *depot) plan(j *job) (x *exchange, config *Config, targets []target, res *result) {
	x = &exchange{staying: true, watch: j.watch}
	config, err := p.config.get()
	if err != nil {
		return x, nil, nil, resControls
	}
	x.Delivery = &Delivery{
		Host: j.Host, Sender: j.Sender, Message: j.message, Config: *config, Home: p.home,
		Resolver: p.dns.get(), Libraries: p.libraries, dead: &p.dead,
	}
	if x.lacksLibraries() {
		return x, config, nil, resDeclined
	}
	if x.source, res = x.prepare(); res != nil {
		return x, config, nil, res
	}
	own, err := p.host.get()
	if err != nil {
		return x, config, nil, resResources
	}
	st, err := j.message.Stat()
	if err != nil {
		return x, config, nil, resMessage
	}
	j.file = fileState{device: uint64(st.Dev), inode: st.Ino, size: st.Size}
	x.watch.enter(wire.PhaseLookup, j.Host, st.Size)
	targets, res = x.targets(own)
	return x, config, targets, res
}

// lead delivers to a party. Recipients who are too many for the host come
// afterwards.
func (p *depot) lead(g *party, x *exchange, targets []target) {
	p.gather(g)
	x.assemble = func() []*recipient { return p.begin(g, x.pipelining()) }
	res := p.reach(x, g.config, targets)
	p.end(g)
	for left := p.settle(x, g.jobs, res); len(left) > 0; left = p.settle(x, left, res) {
		again := *x
		again.link, again.recipients, again.rest = nil, nil, nil
		again.assemble = func() []*recipient { return named(left) }
		x, res = &again, resMessage
		if _, err := g.leader.message.Seek(0, io.SeekStart); err == nil {
			res = p.reach(x, g.config, targets)
		}
	}
	for _, j := range g.jobs {
		j.message.Close()
	}
}

// reach delivers to the first host that can be reached, over a connection that
// is there if there is one.
func (p *depot) reach(x *exchange, config *Config, targets []target) *result {
	for _, x.target = range targets {
		if res := x.choose(); res != nil {
			return res
		}
		x.partner = partner(x.target.addr.String())
		t := x.terms(config)
		if l := p.idle.take(t, x.target.name); l != nil {
			x.link, x.reused = l, true
			res := x.transact()
			x.reused = false
			if res != resStale {
				p.part(x, t, res)
				return res
			}
			x.close() // whatever it may still be saying
		}
		x.watch.enter(wire.PhaseConnect, x.host(), 0)
		err := x.connect()
		switch {
		case err == nil:
			res := x.setUp()
			if res == nil {
				res = x.transact()
			}
			p.part(x, t, res)
			return res
		case outOfResources(err):
			return resResources
		}
	}
	return resNoConnection
}

// part keeps the connection, if its last message ended well and another one
// may follow, or ends it. One of a configuration that is not the last word, for
// control files have just been written, nobody would take up again.
func (p *depot) part(x *exchange, t terms, res *result) {
	x.link.served++
	good := res.letter == 'K' && !x.s.over && !x.s.unread() && x.link.served < mostMessages
	for _, r := range x.recipients {
		good = good && r.letter != 'h' && r.letter != 's'
	}
	if good && x.Config.Reuse != 0 {
		now, err := p.config.get()
		good = err == nil && now == t.config
	}
	if !good || x.Config.Reuse == 0 {
		x.leave()
		return
	}
	p.idle.keep(t, x.target.name, x.link, x.Config.Reuse)
}

// settle reports the end of a transaction, or of what did not become one, to
// all whom it concerns. It returns those who must go in another one.
func (p *depot) settle(x *exchange, jobs []*job, res *result) (left []*job) {
	if x.recipients == nil {
		// Not even their names were said.
		for _, j := range jobs {
			x.recipients = append(x.recipients, &recipient{job: j})
		}
	}
	for _, r := range x.rest {
		left = append(left, r.job)
	}
	for _, r := range x.recipients {
		switch {
		case slices.Contains(left, r.job):
		case res == resDeclined:
			p.finish(r.job, errand.Answer{Kind: errand.Declined})
		default:
			p.finish(r.job, errand.Answer{Kind: errand.Done, Output: r.alone(x.partner, res)})
		}
	}
	return left
}

// alone is the output of a qmail-remote that had this recipient only.
func (r *recipient) alone(p partner, res *result) []byte {
	var out report
	r.report(&out)
	if r.letter == 'h' || r.letter == 's' {
		res = p.givingUp()
	}
	out.chunk(res.letter, res.text)
	return out
}

// tellInterval is how often is told how deliveries get on. One that ends
// sooner is not told of.
const tellInterval = 500 * time.Millisecond

// tell tells what is new of those that last.
func (p *depot) tell() {
	for _, a := range p.news() {
		_ = p.post.Send(a.Append(nil))
	}
}

func (p *depot) news() (list []errand.Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for j := range p.jobs {
		if time.Since(j.began) < tellInterval {
			continue
		}
		if news := j.watch.look(); news != j.told {
			j.told = news
			list = append(list, errand.Answer{Number: j.Number, Kind: errand.Progress, News: news})
		}
	}
	if p.telling = len(p.jobs) > 0; p.telling {
		time.AfterFunc(tellInterval, p.tell)
	}
	return list
}

// named are the recipients of jobs.
func named(jobs []*job) []*recipient {
	recipients := make([]*recipient, len(jobs))
	for i, j := range jobs {
		recipients[i] = &recipient{address: j.Recipient, job: j}
	}
	return recipients
}
