package send

import (
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/queue"
)

// routes decides about recipients (qmail-send(8), CONTROL FILES).
type routes struct {
	envNoAtHost    string
	locals         control.Map
	virtualDomains control.Map
	percentHack    control.Map
}

// unreadable names the control file that kept routes from being read.
type unreadable struct {
	file control.Name
	err  error
}

func (u *unreadable) Error() string {
	return "unable to read control/" + string(u.file) + ": " + u.err.Error()
}

func (u *unreadable) Unwrap() error { return u.err }

// errMissing says that a file that must be there is not.
type errMissing struct{}

func (errMissing) Error() string { return "file does not exist" }

// reread reads locals and virtualdomains. After an error both are as before.
func (r *routes) reread(d *control.Dir) error {
	locals, ok, err := d.List(control.Locals)
	if err == nil && !ok {
		err = errMissing{}
	}
	if err != nil {
		return &unreadable{control.Locals, err}
	}
	virtual, _, err := d.List(control.VirtualDomains)
	if err != nil {
		return &unreadable{control.VirtualDomains, err}
	}
	r.locals, r.virtualDomains = control.Set(locals), control.Pairs(virtual)
	return nil
}

// route rewrites an envelope recipient and tells its channel.
func (r *routes) route(recipient string) (queue.Channel, string) {
	addr := r.unhack(recipient)
	_, domain, _ := address.Split(addr)
	if r.locals.Has(domain) {
		return queue.Local, addr
	}
	prefix, ok := r.virtualDomains.Get(addr)
	if !ok {
		prefix = r.virtualPrefix(domain)
	}
	if prefix == "" {
		return queue.Remote, addr
	}
	return queue.Local, prefix + "-" + addr
}

// unhack completes an address without a host and, while its host allows it,
// turns user%host@relay into user@host.
func (r *routes) unhack(addr string) string {
	local, domain, ok := address.Split(addr)
	if !ok {
		domain = r.envNoAtHost
	}
	for r.percentHack.Has(domain) {
		at := strings.LastIndexByte(local, '%')
		if at < 0 {
			break
		}
		local, domain = local[:at], local[at+1:]
	}
	return local + "@" + domain
}

// virtualPrefix is that of a domain. Empty means none: an exception, or no
// entry.
func (r *routes) virtualPrefix(domain string) string {
	prefix, _ := r.virtualDomains.Domain(domain)
	return prefix
}

// withoutPrefix undoes route for the reader of a bounce: it drops the virtual
// domain's prefix from a recipient.
func (r *routes) withoutPrefix(recipient string) string {
	_, domain, ok := address.Split(recipient)
	if !ok {
		return recipient
	}
	prefix := r.virtualPrefix(domain)
	if rest, ok := strings.CutPrefix(recipient, prefix+"-"); ok && prefix != "" {
		return rest
	}
	return recipient
}

// verpMark ends the sender of a message whose bounces are to tell their
// recipient (qmail's variable envelope return paths, VERP).
const verpMark = "-@[]"

// deliverySender returns the envelope sender for one recipient: a sender of
// the form PREFIX@HOST-@[] becomes PREFIXbox=domain@HOST.
func deliverySender(sender, recipient string) string {
	base, ok := strings.CutSuffix(sender, verpMark)
	if !ok {
		return sender
	}
	prefix, host, hasHost := address.Split(base)
	box, domain, hasDomain := address.Split(recipient)
	if !hasHost || !hasDomain {
		return sender
	}
	return prefix + box + "=" + domain + "@" + host
}
