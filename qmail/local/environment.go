package local

import (
	"os"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/datetime"
)

// headers are the lines that deliveries put before a message.
type headers struct {
	deliveredTo string // Delivered-To: recipient
	returnPath  string // Return-Path: <sender>
	from        string // From_ line of an mbox
}

func makeHeaders(d *Delivery, now time.Time) headers {
	sender := replace(d.Sender, " \t\n", '-')
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	return headers{
		deliveredTo: "Delivered-To: " + replace(d.Local+"@"+d.Host, "\n", '_') + "\n",
		returnPath:  "Return-Path: <" + replace(address.Quote(d.Sender), "\n", '_') + ">\n",
		from:        "From " + sender + " " + datetime.Mbox(now) + "\n",
	}
}

// replace returns s with each byte that is in old replaced by new.
func replace(s, old string, new byte) string {
	b := []byte(s)
	for i, c := range b {
		if strings.IndexByte(old, c) >= 0 {
			b[i] = new
		}
	}
	return string(b)
}

// setEnvironment sets what programs learn about the delivery
// (qmail-command(8)); the rest of the environment is inherited.
func (d *Delivery) setEnvironment(file dotQmail) {
	variables := []struct{ name, value string }{
		{"HOST", d.Host},
		{"HOME", d.HomeDir},
		{"USER", d.User},
		{"LOCAL", d.Local},
		{"RECIPIENT", d.Local + "@" + d.Host},
		{"DTLINE", d.headers.deliveredTo},
		{"SENDER", d.Sender},
		{"RPLINE", d.headers.returnPath},
		{"UFLINE", d.headers.from},
		{"NEWSENDER", d.newSender},
	}
	if file.found && file.hasDefault {
		variables = append(variables, struct{ name, value string }{"DEFAULT", file.defaultExt})
	}
	ext, host := d.Ext, d.Host
	for _, suffix := range []string{"", "2", "3", "4"} {
		if suffix != "" {
			_, ext, _ = strings.Cut(ext, "-")
			if dot := strings.LastIndexByte(host, '.'); dot >= 0 {
				host = host[:dot]
			}
			variables = append(variables, struct{ name, value string }{"HOST" + suffix, host})
		}
		variables = append(variables, struct{ name, value string }{"EXT" + suffix, ext})
	}
	for _, v := range variables {
		os.Setenv(v.name, v.value) // fails only for a NUL, which no operand has
	}
}
