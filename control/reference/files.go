package reference

import "github.com/reqmail/reqmail/control"

// Files are all control files, in the order of their names. A file that
// package control names, or that any other package opens below control/, must
// have a row here: a test demands it. After a change run
// "go generate ./control/reference", which brings docs/controls.md and
// man/qmail-control.5 up to date: a test demands that as well.
var Files = [...]File{
	{control.BadMailFrom, List, "qmail-smtpd", "Envelope senders whose mail is refused, also from clients that may relay; @domain stands for all of a domain.", "none is refused"},
	{control.BounceFrom, Line, "qmail-send", "User in the From field of bounces.", ""},
	{control.BounceHost, Line, "qmail-send", "Host in the From field of bounces, and in their text.", ""},
	{"clientca.pem", PEM, "qmail-smtpd", "Authorities that clients' certificates must come from to count; it must exist where tlsclients does.", ""},
	{"clientcrl.pem", PEM, "qmail-smtpd", "Lists of client certificates that are revoked.", "none is revoked"},
	{control.ConcurrencyLocal, Number, "qmail-send", "Local deliveries at a time. More than concurrencyspawn has no effect.", ""},
	{control.ConcurrencyRemote, Number, "qmail-send", "Remote deliveries at a time. More than concurrencyspawn has no effect.", ""},
	{control.ConcurrencySpawn, Number, "qmail-lspawn qmail-rspawn", "Deliveries that each spawner offers to run at a time; 255 at most. Not in qmail, whose spawners are compiled for 120.", ""},
	{control.DataBytes, Number, "qmail-smtpd qmail-qmtpd", "Most bytes of a message; 0 for no limit. The variable DATABYTES overrides it.", ""},
	{control.DefaultDomain, Line, "qmail-inject", "Added to host names without a dot. The variable QMAILDEFAULTDOMAIN overrides it.", ""},
	{control.DefaultHost, Line, "qmail-inject", "Added to addresses without a host. The variable QMAILDEFAULTHOST overrides it.", ""},
	{control.DoubleBounceHost, Line, "qmail-send", "Host of the address that double bounces are sent to.", ""},
	{control.DoubleBounceTo, Line, "qmail-send", "User of the address that double bounces are sent to.", ""},
	{control.EnvNoAtHost, Line, "qmail-send", "Added to recipients without a host.", ""},
	{control.HeloHost, Line, "qmail-remote", "Name of this host, for other hosts to hear.", "mail is deferred"},
	{control.IDHost, Line, "qmail-inject", "Host in Message-ID fields. The variable QMAILIDHOST overrides it.", ""},
	{control.LocalIPHost, Line, "qmail-smtpd", "Replaces an address literal of this host, such as [192.0.2.1], in addresses.", "literals stay as they are"},
	{control.Locals, List, "qmail-send", "Domains whose mail is delivered here. Read again at HUP.", "qmail-send does not start"},
	{control.Me, Line, all, "Name of this host, the default of many other files.", "none"},
	{control.MoreRcptHosts, List, "qmail-newmrh", "More rcpthosts, for qmail-newmrh to compile.", "none"},
	{control.MoreRcptHostsCDB, Database, "qmail-smtpd qmail-qmtpd", "More rcpthosts, compiled. Without rcpthosts it has no effect.", "none"},
	{control.PercentHack, List, "qmail-send", "Domains for which user%host@domain means user@host.", "none"},
	{control.PlusDomain, Line, "qmail-inject", "Replaces the + at the end of a host name, with a dot before it. The variable QMAILPLUSDOMAIN overrides it.", ""},
	{control.QMQPServers, List, "qmail-qmqpc", "IPv4 addresses of QMQP servers, tried in their order.", "no message can be queued"},
	{control.QueueLifetime, Number, "qmail-send", "Seconds that a message is tried.", ""},
	{control.RcptHosts, List, "qmail-smtpd qmail-qmtpd", "Domains that mail is accepted for; .domain stands for everything below it. Clients for which RELAYCLIENT is set are not bound by it.", "mail for all domains is accepted: an open relay"},
	{"servercert.pem", PEM, "qmail-smtpd", "Certificate of this host with those that vouch for it, and its key, in one file. STARTTLS is offered if it exists. Running programs read it, and the other files about TLS, again when it has changed.", "no TLS"},
	{control.SMTPGreeting, Line, "qmail-smtpd", "Text of the greeting; it should begin with the name of the host.", "clients are turned away"},
	{control.SMTPRoutes, Pairs, "qmail-remote", "domain:relay or domain:relay:port: the host that takes the mail for a domain instead of its mail exchangers. It is looked for by the domain, by its parts that begin at a dot, and with nothing before the colon. The relay is a name or an address, IPv6 ones in brackets; without one the mail exchangers are used. The port is 25 unless given.", "mail exchangers are used"},
	{control.SMTPUTF8, Number, "qmail-smtpd", "Offer SMTPUTF8, if not 0: addresses may have characters that are not ASCII.", ""},
	{control.TimeoutConnect, Number, "qmail-remote", "Seconds to wait for a connection to another host.", ""},
	{control.TimeoutRemote, Number, "qmail-remote", "Seconds to wait for each answer of another host.", ""},
	{control.TimeoutSMTPD, Number, "qmail-smtpd", "Seconds to wait for each word of a client.", ""},
	{control.TLSClients, List, "qmail-smtpd", "E-mail addresses; a client whose certificate has one of them, and comes from an authority in clientca.pem, may relay.", "no certificate lets relay"},
	{control.TLSMinimum, Line, "qmail-smtpd", "Lowest version of TLS that clients may speak: 1.0, 1.1, 1.2 or 1.3.", "1.2"},
	{control.TLSServerCiphers, List, "qmail-smtpd", "Cipher suites for clients, in the names of OpenSSL, also with colons between them. Words such as DEFAULT and HIGH stand for a good choice; those of TLS 1.3 cannot be chosen. The variable TLSCIPHERS overrides it.", "a good choice"},
	{control.VirtualDomains, Pairs, "qmail-send", "domain:prefix or user@domain:prefix: mail for it is local, for the address with the prefix and - before it. The domain may be .domain, for everything below it, or nothing, for all others. Without a prefix the mail is remote. Read again at HUP.", "none"},
}
