package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/manage"
	"github.com/reqmail/reqmail/qmail/serve"
	"github.com/reqmail/reqmail/queue"
)

// serveCommands are the HTTP service and its tokens.
func serveCommands() []*cli.Command {
	return []*cli.Command{{
		Name:  "serve",
		Usage: "serve the queue over HTTP, as control/reqmailserve says",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage{"serve takes no arguments"}
			}
			return serveQueue(c.Context, c.String("home"), c.App.ErrWriter)
		},
	}, {
		Name:  "token",
		Usage: "make, list and remove tokens for reqmail serve",
		Subcommands: withJSON(&cli.Command{
			Name:      "add",
			Usage:     "make a token and print it, this once",
			ArgsUsage: "NAME",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "act", Usage: "it may act, not only look"},
				&cli.StringSliceFlag{Name: "domain", Usage: "only for mail from or to `DOMAIN`; may be given again"},
			},
			Action: addToken,
		}, &cli.Command{
			Name: "list", Usage: "list the tokens", Action: listTokens,
		}, &cli.Command{
			Name: "remove", Usage: "make a token worthless at once", ArgsUsage: "NAME", Action: removeToken,
		}),
	}}
}

func openTokens(home string) (*serve.Tokens, error) {
	return serve.OpenTokens(filepath.Join(home, "control", string(control.ReqmailTokens)))
}

// give makes a file qmails' own, under which the service runs.
func give(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, err := ids.UID(ids.Send)
	if err != nil {
		return err
	}
	gid, err := ids.GID(ids.Qmail)
	if err != nil {
		return err
	}
	return os.Chown(path, int(uid), int(gid))
}

func addToken(c *cli.Context) error {
	if c.NArg() != 1 {
		return usage{"token add [--act] [--domain DOMAIN] NAME"}
	}
	tokens, err := openTokens(c.String("home"))
	if err != nil {
		return err
	}
	token := serve.Token{Name: c.Args().First(), Act: c.Bool("act"), Domains: c.StringSlice("domain")}
	secret, err := tokens.Add(token, give)
	switch {
	case err != nil:
		return err
	case asJSON(c):
		return manage.WriteJSON(c.App.Writer, map[string]string{"token": secret})
	}
	fmt.Fprintln(c.App.Writer, secret)
	return nil
}

func listTokens(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage{"token list takes no arguments"}
	}
	tokens, err := openTokens(c.String("home"))
	if err != nil {
		return err
	}
	all, err := tokens.All()
	if asJSON(c) && err == nil {
		return manage.WriteJSON(c.App.Writer, append([]serve.Token{}, all...))
	}
	for _, t := range all {
		scope, domains := "read", "everything"
		if t.Act {
			scope = "act"
		}
		if len(t.Domains) > 0 {
			domains = strings.Join(t.Domains, ",")
		}
		fmt.Fprintln(c.App.Writer, t.Name, scope, domains)
	}
	return err
}

func removeToken(c *cli.Context) error {
	if c.NArg() != 1 {
		return usage{"token remove NAME"}
	}
	tokens, err := openTokens(c.String("home"))
	if err != nil {
		return err
	}
	name := c.Args().First()
	if err := tokens.Remove(name, give); err != nil || !asJSON(c) {
		return err
	}
	return manage.WriteJSON(c.App.Writer, map[string]string{"removed": name})
}

// serveQueue binds, becomes qmails and serves until ctx ends.
func serveQueue(ctx context.Context, home string, log io.Writer) error {
	places, err := readPlaces(home)
	if err != nil {
		return err
	}
	var listeners []net.Listener
	for _, p := range places {
		l, err := p.Listen()
		if err != nil {
			return err
		}
		defer l.Close()
		listeners = append(listeners, l)
	}
	site, err := openSite(home)
	if err != nil {
		return err
	}
	if err := ids.Become(ids.Send, ids.Qmail); err != nil {
		return err
	}
	if os.Geteuid() == 0 || os.Getuid() == 0 {
		return errors.New("it is not to run as root, and cannot become " + ids.Send)
	}
	tokens, err := openTokens(home)
	if err != nil {
		return err
	}
	if err := os.Chdir(filepath.Join(home, "queue")); err != nil {
		return err
	}
	server := serve.Server(serve.Handler(serve.Config{
		Tokens: tokens, Log: log, Ours: site.ours, Host: site.host,
		Open: func() (serve.Queue, error) { return steer.Dial(".") },
		Text: func(id uint64, most int) ([]byte, error) { return queue.ReadMess(queue.ID(id), make([]byte, most)) },
	}))
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		fmt.Fprintln(log, "reqmail serve: listening on", l.Addr())
		go func() { failed <- server.Serve(l) }()
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = server.Shutdown(patience)
	}
	_ = server.Close()
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// readPlaces reads where to listen.
func readPlaces(home string) (places []serve.Place, err error) {
	folder := filepath.Join(home, "control")
	d, err := control.Open(folder)
	if err != nil {
		return nil, err
	}
	lines, ok, err := d.List(control.ReqmailServe)
	if err != nil {
		return nil, err
	}
	if !ok || len(lines) == 0 {
		return nil, errors.New("control/reqmailserve does not say where to listen: there is no HTTP service")
	}
	for _, line := range lines {
		p, err := serve.ParsePlace(line, folder)
		if err != nil {
			return nil, fmt.Errorf("control/reqmailserve: %w", err)
		}
		places = append(places, p)
	}
	return places, nil
}

// site answers SpamExperts' questions about this host, from its control files
// as they were when the service started.
type site struct {
	me     string
	hosts  *intake.RcptHosts // nil where there is no list: everything would be in it
	routes control.Map
}

func openSite(home string) (s site, err error) {
	d, err := control.Open(filepath.Join(home, "control"))
	if err != nil {
		return s, err
	}
	s.me, _ = d.Me()
	if _, listed, err := d.List(control.RcptHosts); err != nil || listed {
		if s.hosts, err = intake.OpenRcptHosts(d, home); err != nil {
			return s, err
		}
	}
	// They may hold passwords, and then be readable by root and qmailr alone:
	// read before root is left behind. Otherwise it is as if there were none.
	routes, _, _ := d.List(control.SMTPRoutes)
	s.routes = control.Pairs(routes)
	return s, nil
}

// ours reports whether mail comes in rather than goes out: it is delivered
// here, or to a domain of rcpthosts.
func (s site) ours(to steer.Recipient) bool {
	if to.Channel == steer.Local {
		return true
	}
	if s.hosts == nil {
		return false
	}
	allowed, err := s.hosts.Allows(to.Address)
	return allowed && err == nil
}

// host returns this host, the relay of smtproutes, or the domain.
func (s site) host(to steer.Recipient) string {
	if to.Channel == steer.Local {
		return s.me
	}
	_, domain, _ := address.Split(to.Address)
	relay, _ := s.routes.Domain(domain)
	relay, _, _ = strings.Cut(relay, "|") // a password may follow
	relay, _, _ = strings.Cut(relay, " ")
	if at := strings.LastIndexByte(relay, ':'); at > strings.LastIndexByte(relay, ']') {
		relay = relay[:at] // the port
	}
	return cmp.Or(strings.Trim(relay, "[]"), domain)
}
