package reference

// Readers of several variables.
const (
	netServers = "qmail-smtpd qmail-qmtpd qmail-qmqpd"
	injectors  = "forward condredirect qreceipt qmail-inject qmail-local qmail-qmqpd qmail-qmtpd qmail-send qmail-smtpd"
)

// Variables are the environment variables that programs read, in the order of
// their names. A variable that any package reads must have a row here: a test
// demands it. After a change run "go generate ./control/reference", which
// brings docs/controls.md up to date: a test demands that as well.
var Variables = [...]Variable{
	{"DATABYTES", "qmail-smtpd qmail-qmtpd", "Overrides control/databytes."},
	{"DTLINE", "forward condredirect preline qsmhook", "The Delivered-To line of a message; set by qmail-local."},
	{"FORCETLS", "qmail-smtpd", "If it is set, and not to 0, clients must give STARTTLS before AUTH and MAIL."},
	{"HOST", "qsmhook", "Domain of the recipient; set by qmail-local."},
	{"LOCAL", "qbiff qsmhook", "Local part of the recipient; set by qmail-local."},
	{"LOGNAME", "qmail-inject", "User in the From field, where QMAILUSER, MAILUSER and USER are not set."},
	{"MAIL", "maildir2mbox", "The mbox file that messages are added to."},
	{"MAILDIR", "maildir2mbox maildirwatch", "The Maildir."},
	{"MAILHOST", "qmail-inject", "Host in the From field, where QMAILHOST is not set."},
	{"MAILNAME", "qmail-inject", "Full name in the From field, where QMAILNAME is not set."},
	{"MAILTMP", "maildir2mbox", "A file beside MAIL that becomes the new one."},
	{"MAILUSER", "qmail-inject", "User in the From field, where QMAILUSER is not set."},
	{"NAME", "qmail-inject", "Full name in the From field, where QMAILNAME and MAILNAME are not set."},
	{"NEWSENDER", "forward", "Envelope sender of what is forwarded; set by qmail-local."},
	{"OUTGOINGIP", "qmail-remote", "Overrides control/outgoingip."},
	{"PATH", "qmail-start qmail-rspawn qmail-popup qmail-smtpd tcp-env", "Where programs are looked for that are named without a slash."},
	{"PROTO", "tcp-env sendmail", "If it is TCP, the connection is described already."},
	{"QMAILDEFAULTDOMAIN", "qmail-inject", "Overrides control/defaultdomain."},
	{"QMAILDEFAULTHOST", "qmail-inject", "Overrides control/defaulthost."},
	{"QMAILHOST", "qmail-inject", "Host in the From field."},
	{"QMAILIDHOST", "qmail-inject", "Overrides control/idhost."},
	{"QMAILINJECT", "qmail-inject", "Letters that change what is done to the header; see qmail-inject(8)."},
	{"QMAILMFTFILE", "qmail-inject", "A file with addresses of mailing lists, for Mail-Followup-To."},
	{"QMAILNAME", "qmail-inject", "Full name in the From field."},
	{"QMAILPLUSDOMAIN", "qmail-inject", "Overrides control/plusdomain."},
	{"QMAILQUEUE", injectors, "Program that mail is queued with instead of bin/qmail-queue; see qmail-queue(8). A relative path counts from /var/qmail."},
	{"QMAILREMOTE", "qmail-rspawn", "Program that mail is sent with instead of qmail-remote."},
	{"QMAILSHOST", "qmail-inject", "Host of the envelope sender, where it differs from that in the From field."},
	{"QMAILSUSER", "qmail-inject", "User of the envelope sender, where it differs from that in the From field."},
	{"QMAILUSER", "qmail-inject", "User in the From field."},
	{"RELAYCLIENT", "qmail-smtpd qmail-qmtpd", "If it is set, the client may send to any recipient; the value is appended to each."},
	{"REQMAIL_HOME", all, "An absolute path to use instead of /var/qmail. Set-uid programs ignore it. Not in qmail."},
	{"REQUIRE_AUTH", "qmail-smtpd", "If it is set, and not to 0, clients must give AUTH before MAIL."},
	{"RES_OPTIONS", "qmail-remote qmail-smtpd tcp-env config", "Options timeout and attempts that override those in /etc/resolv.conf."},
	{"RPLINE", "preline qsmhook", "The Return-Path line of a message; set by qmail-local."},
	{"SENDER", "condredirect qbiff qreceipt qsmhook", "Envelope sender; set by qmail-local."},
	{"SMTPAUTH", "qmail-smtpd", "How AUTH is offered: cram for CRAM-MD5 alone, +cram for CRAM-MD5 too, anything else for LOGIN and PLAIN; with ! before it AUTH is needed before MAIL. With - there is no AUTH. SIZE is announced if it is set, but not with -."},
	{"SMTPS", "qmail-smtpd", "If it is set, TLS begins with the first byte, as on port 465."},
	{"SSLCTLFD", "qmail-smtpd", "With UCSPITLS: the descriptor by which sslserver is told to begin TLS."},
	{"SSLREADFD", "qmail-smtpd", "With UCSPITLS: the descriptor to read from after that."},
	{"SSLWRITEFD", "qmail-smtpd", "With UCSPITLS: the descriptor to write to after that."},
	{"SUBMISSION", "qmail-smtpd", "As REQUIRE_AUTH."},
	{"TCPLOCALHOST", netServers, "Name of this host for the Received field."},
	{"TCPLOCALIP", netServers, "The same where TCPLOCALHOST is not set."},
	{"TCPREMOTEHOST", netServers, "Name of the client for the Received field."},
	{"TCPREMOTEINFO", netServers, "Who the client says that its user is, for the Received field; after AUTH, who has logged in."},
	{"TCPREMOTEIP", netServers, "Address of the client for the Received field."},
	{"TLSCIPHERS", "qmail-smtpd", "Overrides control/tlsserverciphers."},
	{"TZ", "predate splogger", "The time zone; predate's Date field and the file of splogger -f have local time."},
	{"UCSPITLS", "qmail-smtpd", "If it is set, and not to -, STARTTLS is done by sslserver of ucspi-ssl."},
	{"UFLINE", "preline qsmhook", "The From_ line of a message; set by qmail-local."},
	{"USER", "qmail-inject qbiff", "User in the From field, where QMAILUSER and MAILUSER are not set; who is told by qbiff."},
}
