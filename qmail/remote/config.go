package remote

import (
	"errors"
	"time"

	"github.com/reqmail/reqmail/control"
)

// Config is what qmail-remote reads from the control directory.
type Config struct {
	HeloHost       string
	ConnectTimeout time.Duration
	Timeout        time.Duration // of each read and write
	Routes         control.Map   // smtproutes
}

// errNoName says that the host has no name to greet with.
var errNoName = errors.New("neither helohost nor me")

// ReadConfig reads the control directory at path.
func ReadConfig(path string) (*Config, error) {
	d, err := control.Open(path)
	if err != nil {
		return nil, err
	}
	timeout, err := d.Int(control.TimeoutRemote)
	if err != nil {
		return nil, err
	}
	connect, err := d.Int(control.TimeoutConnect)
	if err != nil {
		return nil, err
	}
	helo, ok, err := d.Line(control.HeloHost)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoName
	}
	routes, _, err := d.List(control.SMTPRoutes)
	if err != nil {
		return nil, err
	}
	return &Config{
		HeloHost:       helo,
		ConnectTimeout: time.Duration(connect) * time.Second,
		Timeout:        time.Duration(timeout) * time.Second,
		Routes:         control.Pairs(routes),
	}, nil
}
