package splog

// Facilities of syslog(3), shifted as they are in a priority.
const (
	facilityUser = 1 << 3
	facilityMail = 2 << 3
	facilityMask = 0x3f8
)

// Config is splogger's command line.
type Config struct {
	File     string // absolute path of the file to append to; empty means syslog
	Tag      string
	Facility int // as in a priority: the number on the command line times 8
}

// Parse reads a command line, args[0] being the program:
// "[tag [facility]]" or "-f FILE [tag]". The latter needs an absolute path:
// with anything else behind it "-f" is a tag, as it always was.
func Parse(args []string) Config {
	c := Config{Tag: "splogger", Facility: facilityMail}
	if len(args) > 2 && args[1] == "-f" && args[2] != "" && args[2][0] == '/' {
		c.File = args[2]
		if len(args) > 3 {
			c.Tag = args[3]
		}
		return c
	}
	if len(args) > 1 {
		c.Tag = args[1]
	}
	if len(args) > 2 {
		c.Facility = facility(args[2])
	}
	return c
}

// facility reads the digits at the start of s. What openlog(3) does not take
// is logged as "user".
func facility(s string) int {
	var n uint64
	for i := 0; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		n = n*10 + uint64(s[i]-'0')
	}
	shifted := int32(n << 3) // a C int, as openlog(3) is passed
	if shifted&^facilityMask != 0 {
		return facilityUser
	}
	return int(shifted)
}
