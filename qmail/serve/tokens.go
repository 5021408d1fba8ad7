package serve

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/reqmail/reqmail/compat/steer"
)

// Token is what a holder of a secret may do. The secret itself is kept nowhere:
// it is 32 random bytes, so that a plain hash of it says nothing.
type Token struct {
	Name    string   `json:"name"`
	Act     bool     `json:"act"`               // not only read
	Domains []string `json:"domains,omitempty"` // none: the whole queue
	hash    [sha256.Size]byte
}

// errLine says that a line of the file of tokens is not understood.
var errLine = errors.New("a line is not NAME:read:HASH:DOMAINS or NAME:act:HASH:DOMAINS")

// ParseTokens takes a file of tokens apart: on each line NAME:SCOPE:HASH:DOMAINS,
// the scope being read or act, the hash SHA-256 in hexadecimal, the domains
// separated by commas, none for all.
func ParseTokens(text string) ([]Token, error) {
	var tokens []Token
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, ":")
		if len(f) != 4 || checkWord(f[0]) != nil || f[1] != "read" && f[1] != "act" {
			return nil, errLine
		}
		t := Token{Name: f[0], Act: f[1] == "act"}
		hash, err := hex.DecodeString(f[2])
		if err != nil || len(hash) != len(t.hash) {
			return nil, errLine
		}
		copy(t.hash[:], hash)
		for domain := range strings.SplitSeq(f[3], ",") {
			if f[3] == "" {
				break
			}
			if checkWord(domain) != nil {
				return nil, errLine
			}
			t.Domains = append(t.Domains, domain)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// String returns the line of a token.
func (t Token) String() string {
	scope := "read"
	if t.Act {
		scope = "act"
	}
	return t.Name + ":" + scope + ":" + hex.EncodeToString(t.hash[:]) + ":" + strings.Join(t.Domains, ",")
}

// checkWord refuses what would not survive in a line.
func checkWord(s string) error {
	if s == "" || len(s) > 255 {
		return errors.New("a name or domain has from 1 to 255 characters")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c == ':' || c == ',' || c == '#' || c == 0x7f {
			return fmt.Errorf("%q has a character that no name or domain has", s)
		}
	}
	return nil
}

// sees reports whether a message concerns a token.
func (t Token) sees(sender string, recipients ...string) bool {
	return len(t.Domains) == 0 || steer.InDomains(t.Domains, sender) ||
		slices.ContainsFunc(recipients, func(to string) bool { return steer.InDomains(t.Domains, to) })
}

// owns reports whether a message is a token's alone, so that acting on it
// touches nobody else's mail.
func (t Token) owns(sender string, recipients ...string) bool {
	return len(t.Domains) == 0 || steer.InDomains(t.Domains, sender) ||
		len(recipients) > 0 && !slices.ContainsFunc(recipients, func(to string) bool { return !steer.InDomains(t.Domains, to) })
}

// Tokens are the tokens of a file, which is read again when it has changed.
type Tokens struct {
	path string

	lock   sync.Mutex
	state  fileState
	tokens []Token
}

type fileState struct {
	inode    uint64
	size     int64
	modified time.Time
}

// OpenTokens reads a file of tokens; one that is missing has none.
func OpenTokens(path string) (*Tokens, error) {
	t := &Tokens{path: path}
	_, err := t.All()
	return t, err
}

// All returns the tokens.
func (t *Tokens) All() ([]Token, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	info, err := os.Stat(t.path)
	if errors.Is(err, os.ErrNotExist) {
		t.state, t.tokens = fileState{}, nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read it; it must have mode 0600", t.path)
	}
	state := fileState{size: info.Size(), modified: info.ModTime()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		state.inode = sys.Ino
	}
	if state == t.state {
		return t.tokens, nil
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return nil, err
	}
	tokens, err := ParseTokens(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.path, err)
	}
	t.state, t.tokens = state, tokens
	return tokens, nil
}

// Find returns the token of a secret.
func (t *Tokens) Find(secret string) (found Token, known bool, err error) {
	tokens, err := t.All()
	hash := sha256.Sum256([]byte(secret))
	for _, token := range tokens {
		if subtle.ConstantTimeCompare(token.hash[:], hash[:]) == 1 {
			found, known = token, true
		}
	}
	return found, known, err
}

// Add makes a token and returns its secret, which is not to be had again. own
// gives the new file to the account that the service runs under.
func (t *Tokens) Add(token Token, own func(path string) error) (secret string, err error) {
	for _, word := range append([]string{token.Name}, token.Domains...) {
		if err := checkWord(word); err != nil {
			return "", err
		}
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	secret = base64.RawURLEncoding.EncodeToString(random[:])
	token.hash = sha256.Sum256([]byte(secret))
	return secret, t.change(own, func(tokens []Token) ([]Token, error) {
		if slices.ContainsFunc(tokens, func(o Token) bool { return o.Name == token.Name }) {
			return nil, fmt.Errorf("there is a token %s already", token.Name)
		}
		return append(tokens, token), nil
	})
}

// Remove makes a token worthless.
func (t *Tokens) Remove(name string, own func(path string) error) error {
	return t.change(own, func(tokens []Token) ([]Token, error) {
		left := slices.DeleteFunc(slices.Clone(tokens), func(o Token) bool { return o.Name == name })
		if len(left) == len(tokens) {
			return nil, fmt.Errorf("there is no token %s", name)
		}
		return left, nil
	})
}

// change replaces the file. Two who do that at once wait for each other: the
// folder is locked.
func (t *Tokens) change(own func(path string) error, edit func([]Token) ([]Token, error)) error {
	folder, err := os.Open(t.path[:strings.LastIndexByte(t.path, '/')+1])
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return os.NewSyscallError("flock", err)
	}
	tokens, err := t.All()
	if err != nil {
		return err
	}
	if tokens, err = edit(tokens); err != nil {
		return err
	}
	var text bytes.Buffer
	for _, token := range tokens {
		fmt.Fprintln(&text, token)
	}
	file, err := renameio.NewPendingFile(t.path, renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() { _ = file.Cleanup() }() // does nothing once it is replaced
	if _, err := file.Write(text.Bytes()); err != nil {
		return err
	}
	if err := own(file.Name()); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

// bearer returns the secret of the Authorization header.
func bearer(r *http.Request) (string, bool) {
	kind, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return secret, ok && strings.EqualFold(kind, "Bearer") && secret != ""
}
