package callout

import (
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"os"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// The cache is one file of fixed size: buckets of slots, each slot an entry
// with a checksum over it. An entry lies in the bucket that the hash of its
// key names, in any slot.
//
// An entry is written by one write(2) of one slot inside a page, under a lock
// on the file: a process that is killed leaves the old entry or the new one. A
// slot that a power cut or a stranger has spoilt does not bear its checksum
// and is empty. Nothing is synced: what is lost is asked for again.
const (
	slotSize    = 256
	bucketSlots = 16 // a bucket is a page
	bucketSize  = bucketSlots * slotSize
	buckets     = 8192 // 131072 entries, 32 MB when all are in use
)

// Bytes of a slot. Numbers are little endian.
const (
	sumAt     = 0 // CRC-32 of what follows
	versionAt = 4
	kindAt    = 5
	lengthAt  = 6 // of the key, two bytes
	timesAt   = 8
	keyAt     = timesAt + 8*numTimes
	maxKey    = slotSize - keyAt

	version = 1
)

// kind says what an entry is about. Greater ones may take the place of lesser
// ones, not the other way round: whoever tries out addresses cannot crowd out
// what is known of those that exist.
type kind byte

const (
	refused     kind = 1 + iota // the destination does not know the recipient
	destination                 // what is known of a domain's destination
	accepted                    // the destination takes mail for the recipient
)

// The times of an entry, in Unix seconds; 0 means never.
const (
	until     = iota // when the entry expires
	reached          // destination: when it last answered
	tried            // destination: when it last did not
	downSince        // destination: since when it has not
	catchAll         // destination: until when it is known that it takes any address
	selective        // destination: until when it is known that it does not
	numTimes
)

// entry is what is remembered under a key: an address, or a domain alone.
type entry struct {
	kind  kind
	key   string
	times [numTimes]int64
}

// parseSlot returns a slot's entry; false where there is none.
func parseSlot(b []byte) (e entry, ok bool) {
	length := int(binary.LittleEndian.Uint16(b[lengthAt:]))
	if b[versionAt] != version || length > maxKey || crc32.ChecksumIEEE(b[versionAt:]) != binary.LittleEndian.Uint32(b[sumAt:]) {
		return entry{}, false
	}
	e.kind, e.key = kind(b[kindAt]), string(b[keyAt:keyAt+length])
	for i := range e.times {
		e.times[i] = int64(binary.LittleEndian.Uint64(b[timesAt+8*i:]))
	}
	return e, true
}

// slot returns the bytes of an entry whose key is not too long.
func (e entry) slot() []byte {
	b := make([]byte, slotSize)
	b[versionAt], b[kindAt] = version, byte(e.kind)
	binary.LittleEndian.PutUint16(b[lengthAt:], uint16(len(e.key)))
	for i, t := range e.times {
		binary.LittleEndian.PutUint64(b[timesAt+8*i:], uint64(t))
	}
	copy(b[keyAt:], e.key)
	binary.LittleEndian.PutUint32(b[sumAt:], crc32.ChecksumIEEE(b[versionAt:]))
	return b
}

// cache is the file at a path, open only while it is used. Where it cannot be
// used there is nothing in it.
type cache string

// get finds what is known under a key and has not expired.
func (c cache) get(key string, now int64) (entry, bool) {
	fd, err := c.open(syscall.O_RDONLY)
	if err != nil {
		return entry{}, false
	}
	defer fd.Close()
	// Without a lock: a slot that is being written is an empty one at worst.
	for _, e := range readBucket(fd, bucketOf(key)) {
		if e.key == key && e.times[until] > now {
			return e, true
		}
	}
	return entry{}, false
}

// put remembers an entry, in place of the one of the same key or of the least
// useful of its bucket. It gives up where all are more useful.
func (c cache) put(e entry, now int64) {
	if len(e.key) > maxKey {
		return
	}
	fd, err := c.open(syscall.O_RDWR | syscall.O_CREAT)
	if err != nil {
		return
	}
	defer fd.Close()
	if !lock(fd) {
		return
	}
	bucket := bucketOf(e.key)
	if i, ok := place(readBucket(fd, bucket), e, now); ok {
		_, _ = syscall.Pwrite(int(fd), e.slot(), bucket*bucketSize+int64(i)*slotSize)
	}
}

// place picks the slot for an entry.
func place(in [bucketSlots]entry, e entry, now int64) (i int, ok bool) {
	best := -1
	for i, old := range in {
		if old.key == e.key {
			return i, true
		}
		if old.times[until] <= now {
			in[i] = entry{}
		} else if old.kind > e.kind {
			continue
		}
		if best < 0 || lessUseful(in[i], in[best]) {
			best = i
		}
	}
	return best, best >= 0
}

// lessUseful prefers to lose empty slots, then lesser kinds, then what expires
// sooner.
func lessUseful(a, b entry) bool {
	if a.kind != b.kind {
		return a.kind < b.kind
	}
	return a.times[until] < b.times[until]
}

func bucketOf(key string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return int64(h.Sum64() % buckets)
}

// readBucket returns a bucket's entries; behind the file's end all are empty.
func readBucket(fd fdio.FD, bucket int64) (list [bucketSlots]entry) {
	buf := make([]byte, bucketSize)
	n, err := syscall.Pread(int(fd), buf, bucket*bucketSize)
	for i := 0; err == nil && (i+1)*slotSize <= n; i++ {
		list[i], _ = parseSlot(buf[i*slotSize : (i+1)*slotSize])
	}
	return list
}

// open opens the file. Where qmail-smtpd runs as root the file still belongs
// to whom its folder does, who must not be able to direct root elsewhere.
func (c cache) open(flags int) (fdio.FD, error) {
	fd, err := fdio.Open(string(c), flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return fd, err
	}
	st, err := fd.Stat()
	if err == nil && (st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Nlink != 1) {
		err = syscall.EPERM
	}
	if err == nil && st.Uid == 0 && os.Geteuid() == 0 {
		err = c.giveAway(fd)
	}
	if err != nil {
		fd.Close()
	}
	return fd, err
}

func (c cache) giveAway(fd fdio.FD) error {
	var dir syscall.Stat_t
	if err := syscall.Stat(string(c[:len(c)-len(fileName)]), &dir); err != nil {
		return err
	}
	return syscall.Fchown(int(fd), int(dir.Uid), int(dir.Gid))
}

// lock locks the file, but does not wait for ever: a stopped process must not
// stop the others.
func lock(fd fdio.FD) bool {
	const attempts, pause = 100, 2 * time.Millisecond
	for range attempts {
		if syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return true
		}
		time.Sleep(pause)
	}
	return false
}
