package resident

import (
	"encoding/binary"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Gather has a Runner give jobs that come at the same time to one child together.
// What it costs to hand a job over, and what jobs need of which one would do for
// all, such as a sync, is then shared.
type Gather struct {
	// Line returns, by a job's arguments, with which others it may be given: one that
	// takes long holds those up that came with it.
	Line func(args []string) string

	// Like returns what decides about a job, by its arguments, whether it can be
	// done with others. Those like one that could not are given alone for a while.
	Like func(args []string) string

	mu    sync.Mutex
	lines map[string]*line // by kind, and by what Line says
	alone map[string]time.Time
}

// line is the jobs of a kind that wait to be given to a child.
type line struct {
	key     string
	waiting []*gathered
	giving  bool // somebody is about to
	busy    int  // children that have jobs of it
}

// gathered is a job that is given together with others.
type gathered struct {
	cmd    *child.Command
	t      *task
	ended  chan struct{} // closed when one of these is known:
	alone  bool          // the job is still to be done, alone
	status syscall.WaitStatus
}

const (
	// mostTogether is how many jobs a child gets at a time.
	mostTogether = MaxFiles

	// worthHalving is how many jobs are given to two children rather than to one.
	worthHalving = 4

	// aloneTime is how long jobs are given alone because one like them had to be, or
	// took a child with it: longer than until it comes again. mostAlone is how many
	// kinds of them are remembered.
	aloneTime = time.Hour
	mostAlone = 1000
)

// run has a job done together with others that come at the same time. False means
// that it is to be done alone.
func (g *Gather) run(r *Runner, cmd *child.Command, t *task) (syscall.WaitStatus, bool) {
	if g == nil || g.isAlone(cmd.Args) {
		return 0, false
	}
	job := &gathered{cmd: cmd, t: t, ended: make(chan struct{})}
	key := t.kind + "\x00" + g.Line(cmd.Args)
	g.mu.Lock()
	l := g.lines[key]
	if l == nil {
		l = &line{key: key}
		if g.lines == nil {
			g.lines = map[string]*line{}
		}
		g.lines[key] = l
	}
	l.waiting = append(l.waiting, job)
	if !l.giving {
		l.giving = true
		go g.give(r, l)
	}
	g.mu.Unlock()
	<-job.ended
	return job.status, !job.alone
}

func (g *Gather) isAlone(args []string) bool {
	like := g.Like(args)
	g.mu.Lock()
	defer g.mu.Unlock()
	until, there := g.alone[like]
	if there && time.Now().After(until) {
		delete(g.alone, like)
		there = false
	}
	return there
}

// remember has jobs like this one given alone from now on.
func (g *Gather) remember(args []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.alone == nil || len(g.alone) >= mostAlone {
		g.alone = map[string]time.Time{}
	}
	g.alone[g.Like(args)] = time.Now().Add(aloneTime)
}

// give gives all that wait to children.
func (g *Gather) give(r *Runner, l *line) {
	runtime.Gosched() // the others that come now
	for {
		batch := g.next(l)
		if len(batch) == 0 {
			return
		}
		if len(batch) > 1 {
			if c := r.idle(batch[0].cmd, batch[0].t.kind); c != nil {
				go g.together(r, c, l, batch)
				continue
			}
		}
		g.end(l, batch, func(_ int, job *gathered) { job.alone = true })
	}
}

// next takes jobs for one child: half of them where two children can have them.
func (g *Gather) next(l *line) []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(l.waiting), mostTogether)
	if l.busy == 0 && len(l.waiting) >= worthHalving {
		n = min(n, (len(l.waiting)+1)/2)
	}
	if n == 0 {
		l.giving, l.waiting = false, nil
		g.drop(l)
		return nil
	}
	batch := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	l.busy++
	return batch
}

// end says of each job of a child what became of it.
func (g *Gather) end(l *line, batch []*gathered, is func(i int, job *gathered)) {
	for i, job := range batch {
		is(i, job)
		close(job.ended)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l.busy--
	g.drop(l)
}

// drop forgets a line that nobody needs any more. It is called with mu held.
func (g *Gather) drop(l *line) {
	if l.busy == 0 && !l.giving {
		delete(g.lines, l.key)
	}
}

// together gives jobs to a child and waits for what becomes of them.
func (g *Gather) together(r *Runner, c *Child, l *line, batch []*gathered) {
	question, files := []byte{manyWord}, make([]fdio.FD, 0, len(batch))
	for _, job := range batch {
		question = appendPart(question, jobOf(job.cmd))
		files = append(files, job.cmd.Files[0])
	}
	data, others, sent, err := c.Ask(c.heard, question, files...)
	Close(others)
	if !sent { // they do not fit, or it ended while it waited
		c.Close()
		g.end(l, batch, func(_ int, job *gathered) { job.alone = true })
		return
	}
	for ; err == nil && data[0] == newsWord; data, err = c.hear() {
		for _, job := range batch {
			job.t.news(data[1:])
		}
	}
	results, stays, ok := parseResults(data, len(batch))
	if err != nil || !ok {
		status := batch[0].t.lost(c)
		g.end(l, batch, func(_ int, job *gathered) {
			g.remember(job.cmd.Args) // one of them may be why
			job.status = status
		})
		return
	}
	if stays {
		r.keep(c, batch[0].t.kind)
	} else {
		c.Close()
	}
	g.end(l, batch, func(i int, job *gathered) {
		if job.alone = results[i].Again; job.alone {
			g.remember(job.cmd.Args)
			return
		}
		_, _ = job.t.out.Write([]byte(results[i].text))
		job.status = syscall.WaitStatus(byte(results[i].Code)) << 8
	})
}

// Result is what became of one of several jobs that were done together.
type Result struct {
	Code  int
	Again bool // nothing was done: it is to be done alone

	text string // what it printed
}

// appendPart appends bytes and, before them, how many they are.
func appendPart(to, part []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(part))), part...)
}

// cutPart undoes appendPart.
func cutPart(data []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > uint64(len(data)-size) {
		return nil, nil, false
	}
	end := size + int(n)
	return data[size:end], data[end:], true
}

// maxTextTogether is how much such a job prints at most, in bytes.
const maxTextTogether = 200

// appendResult appends a Result: its code, whether it is to be done again, its text.
func appendResult(to []byte, r Result) []byte {
	again := byte(0)
	if r.Again {
		again = 1
	}
	return appendPart(to, append([]byte{byte(r.Code), again}, r.text[:min(len(r.text), maxTextTogether)]...))
}

// beginResults begins the answer to several jobs, of a child that stays or not.
func beginResults(stays bool) []byte {
	if stays {
		return []byte{resultsWord, 1}
	}
	return []byte{resultsWord, 0}
}

// parseResults takes the results of so many jobs apart.
func parseResults(data []byte, jobs int) (results []Result, stays, ok bool) {
	if len(data) < 2 || data[0] != resultsWord {
		return nil, false, false
	}
	stays = data[1] != 0
	for data = data[2:]; len(data) > 0; {
		part, rest, ok := cutPart(data)
		if !ok || len(part) < 2 {
			return nil, false, false
		}
		results = append(results, Result{int(part[0]), part[1] != 0, string(part[2:])})
		data = rest
	}
	return results, stays, len(results) == jobs
}

// parseJobs takes the datagram of several jobs apart.
func parseJobs(data []byte, files []fdio.FD) (jobs []*Job, ok bool) {
	for data = data[1:]; len(data) > 0; {
		part, rest, ok := cutPart(data)
		if !ok || len(jobs) == len(files) {
			return nil, false
		}
		args, ok := arguments(part)
		if !ok {
			return nil, false
		}
		jobs = append(jobs, &Job{Args: args, In: files[len(jobs)], among: true})
		data = rest
	}
	return jobs, len(jobs) == len(files) && len(jobs) > 0
}
