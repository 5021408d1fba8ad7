package layout

import (
	"strings"
	"syscall"
)

// bootEntries are the sample start scripts, of which a host copies one to
// HOME/rc, a systemd unit and folders for supervise. The scripts differ in the delivery that users without
// a .qmail file get; those with +df let dot-forward look for a .forward file
// before it.
func bootEntries(home string) []entry {
	var all []entry
	for _, s := range []struct{ name, comment, delivery string }{
		{"home", "Mail goes to the mbox Mailbox in the user's home directory.", "./Mailbox"},
		{"proc", "Mail goes to procmail, which knows the spool directory.", "|preline procmail"},
		{"binm1", "Mail goes to 4.4BSD's mail.local.", `|preline -f /usr/libexec/mail.local -r "${SENDER:-MAILER-DAEMON}" -d "$USER"`},
		{"binm2", "Mail goes to System V's /bin/mail, which takes -r.", `|preline -f /bin/mail -r "${SENDER:-MAILER-DAEMON}" -d "$USER"`},
		{"binm3", "Mail goes to Version 7's /bin/mail, which takes -f.", `|preline -f /bin/mail -f "${SENDER:-MAILER-DAEMON}" -d "$USER"`},
	} {
		all = append(all,
			bootScript(home, s.name, s.comment, s.delivery),
			bootScript(home, s.name+"+df", s.comment+" .forward files count.", "|dot-forward .forward\n"+s.delivery))
	}
	all = append(all, entry{path: "boot/qmail-send.service", kind: syscall.S_IFREG, mode: 0o644, owner: root(), text: systemdUnit(home)})
	return append(all, superviseEntries(home)...)
}

// superviseEntries are service folders for supervise, with their logs, that a
// host copies to where its svscan looks.
func superviseEntries(home string) []entry {
	var all []entry
	for _, s := range []struct{ name, run string }{
		{"qmail-send", "exec env - PATH=\"" + home + "/bin:$PATH\" \\\nqmail-start ./Maildir/\n"},
		{"qmail-smtpd", "exec tcpserver -v -R -l \"$(head -n 1 " + home + "/control/me)\" -x /etc/tcp.smtp.cdb -c 20 \\\n" +
			"-u \"$(id -u qmaild)\" -g \"$(id -g qmaild)\" 0 smtp " + home + "/bin/qmail-smtpd 2>&1\n"},
	} {
		service := "boot/supervise/" + s.name
		all = append(all, directory(service, 0o755, root()), superviseScript(service+"/run", s.run),
			directory(service+"/log", 0o755, root()),
			superviseScript(service+"/log/run", "exec setuidgid qmaill multilog t n20 s1000000 /var/log/"+s.name+"\n"))
	}
	return append([]entry{directory("boot/supervise", 0o755, root())}, all...)
}

func superviseScript(path, text string) entry {
	return entry{path: path, kind: syscall.S_IFREG, mode: 0o755, owner: root(), text: "#!/bin/sh\n" + text}
}

func bootScript(home, name, comment, delivery string) entry {
	text := "#!/bin/sh\n# " + comment + " The log goes to syslog.\n\n" +
		"exec env - PATH=\"" + home + "/bin:$PATH\" \\\n" +
		"qmail-start '" + delivery + "' splogger qmail\n"
	return entry{path: "boot/" + name, kind: syscall.S_IFREG, mode: 0o755, owner: root(), text: text}
}

func systemdUnit(home string) string {
	return strings.ReplaceAll(`[Unit]
Description=qmail delivery system
Documentation=man:qmail(7)
After=network.target nss-lookup.target

[Service]
Environment=PATH=HOME/bin:/usr/local/bin:/usr/bin:/bin
ExecStart=HOME/bin/qmail-start ./Maildir/ splogger qmail
# TERM to qmail-send alone: it waits for the deliveries that are under way.
KillMode=mixed
TimeoutStopSec=infinity
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
`, "HOME", home)
}
