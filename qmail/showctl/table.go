package showctl

import "github.com/reqmail/reqmail/control"

// kind is the format of a control file.
type kind int

const (
	line kind = iota
	number
	list
	database // morercpthosts.cdb
)

// entry says how a file is shown. Its value stands between before and after;
// absent is said where there is neither file nor default.
type entry struct {
	name          control.Name
	kind          kind
	before, after string
	absent        string
}

// Texts about recipients, which depend on whether there is a rcpthosts.
const (
	mayRelay    = "SMTP clients may send messages to recipients at "
	noRcptHosts = "No rcpthosts; "
)

// table has the files in the order in which they are shown.
var table = [...]entry{
	{control.BadMailFrom, list, "", " not accepted in MAIL FROM.", "Any MAIL FROM is allowed."},
	{control.BounceFrom, line, "Bounce user name is ", ".", ""},
	{control.BounceHost, line, "Bounce host name is ", ".", ""},
	{control.ConcurrencyLocal, number, "Local concurrency is ", ".", ""},
	{control.ConcurrencyRemote, number, "Remote concurrency is ", ".", ""},
	{control.DataBytes, number, "SMTP DATA limit is ", " bytes.", ""},
	{control.DefaultDomain, line, "Default domain name is ", ".", ""},
	{control.DefaultHost, line, "Default host name is ", ".", ""},
	{control.DoubleBounceHost, line, "2B recipient host: ", ".", ""},
	{control.DoubleBounceTo, line, "2B recipient user: ", ".", ""},
	{control.EnvNoAtHost, line, "Presumed domain name is ", ".", ""},
	{control.HeloHost, line, "SMTP client HELO host name is ", ".", "helohost"},
	{control.IDHost, line, "Message-ID host name is ", ".", ""},
	{control.LocalIPHost, line, "Local IP address becomes ", ".", "localiphost"},
	{control.Locals, list, "Messages for ", " are delivered locally.", "Messages for me are delivered locally."},
	{control.Me, line, "My name is ", ".", "undefined! Uh-oh"},
	{control.PercentHack, list, "The percent hack is allowed for user%host@", ".", "The percent hack is not allowed."},
	{control.PlusDomain, line, "Plus domain name is ", ".", ""},
	{control.QMQPServers, list, "QMQP server: ", ".", "No QMQP servers."},
	{control.QueueLifetime, number, "Message lifetime in the queue is ", " seconds.", ""},
	{control.RcptHosts, list, mayRelay, ".", "SMTP clients may send messages to any recipient."},
	{control.MoreRcptHosts, list, mayRelay, ".", "No effect."},
	{control.MoreRcptHostsCDB, database, "", "", "No effect."},
	{control.SMTPGreeting, line, "SMTP greeting: 220 ", ".", "smtpgreeting"},
	{control.SMTPRoutes, list, "SMTP route: ", "", "No artificial SMTP routes."},
	{control.TimeoutConnect, number, "SMTP client connection timeout is ", " seconds.", ""},
	{control.TimeoutRemote, number, "SMTP client data timeout is ", " seconds.", ""},
	{control.TimeoutSMTPD, number, "SMTP server data timeout is ", " seconds.", ""},
	{control.VirtualDomains, list, "Virtual domain: ", "", "No virtual domains."},
}

// irrelevant shows morercpthosts where there is no rcpthosts.
var irrelevant = entry{control.MoreRcptHosts, list,
	noRcptHosts + "doesn't matter that morercpthosts has ", ".", noRcptHosts + "morercpthosts is irrelevant."}

// own has the files that qmail does not know; they are shown only where they
// exist, so that nothing changes for a site that does not use them.
var own = [...]entry{
	{control.ConcurrencySpawn, number, "Silent concurrency limit becomes ", ".", ""},
	{control.SPFBehavior, number, "The SPF behavior is ", ".", ""},
	{control.SPFExp, line, "The SPF default explanation is: 550 ", ".", ""},
	{control.SPFGuess, line, "The guess SPF rules are: ", ".", ""},
	{control.SPFRules, line, "The local SPF rules are: ", ".", ""},
	{control.DKIMKeys, list, "DKIM key: ", "", "No DKIM keys."},
	{control.DKIMPlesk, line, "DKIM keys as Plesk has them are in ", ".", ""},
	{control.RcptCallout, list, "Destinations are asked about recipients: ", "", "Destinations are asked about recipients."},
	{control.RcptCalloutKnown, list, "Destinations are not asked about ", ".", ""},
}

// known reports whether a file has an entry.
func known(name string) bool {
	for _, entries := range [][]entry{table[:], own[:]} {
		for _, e := range entries {
			if string(e.name) == name {
				return true
			}
		}
	}
	return false
}
