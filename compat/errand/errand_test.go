package errand

import (
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/resident"
)

func TestJob(t *testing.T) {
	for _, j := range []Job{
		{7, "y.example", "s@x", "r@y.example"},
		{1 << 31, "", "", ""},
	} {
		if got, ok := ParseJob(j.Append(nil)); !ok || got != j || !j.Fits() {
			t.Errorf("%+v: got %+v, %v", j, got, ok)
		}
	}
	for _, text := range []string{"", "abc", "\x00\x00\x00\x01", "\x00\x00\x00\x01a\x00b\x00c", "\x00\x00\x00\x01a\x00b\x00c\x00d\x00"} {
		if got, ok := ParseJob([]byte(text)); ok {
			t.Errorf("%q: got %+v", text, got)
		}
	}
	if (Job{Sender: strings.Repeat("x", resident.MaxDatagram)}).Fits() || (Job{Host: "a\x00b"}).Fits() {
		t.Error("a job fits that does not")
	}
}

func TestAnswer(t *testing.T) {
	for _, a := range []Answer{
		{Number: 1, Kind: Done, Output: []byte("r\x00Kok\n\x00")},
		{Number: 2, Kind: Declined},
		{Number: 3, Kind: Progress, News: News{"sending", "mx.example", 10, 1 << 40}},
	} {
		got, ok := ParseAnswer(a.Append(nil))
		if !ok || got.Number != a.Number || got.Kind != a.Kind || string(got.Output) != string(a.Output) || got.News != a.News {
			t.Errorf("%+v: got %+v, %v", a, got, ok)
		}
	}
	for _, text := range []string{"", "\x00\x00\x00\x01", "\x00\x00\x00\x01?", "\x00\x00\x00\x01P1234567812345678", "\x00\x00\x00\x01P\xff234567812345678\x00"} {
		if got, ok := ParseAnswer([]byte(text)); ok {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func FuzzJob(f *testing.F) {
	f.Add(Job{1, "h", "s", "r"}.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if j, ok := ParseJob(data); ok && string(j.Append(nil)) != string(data) {
			t.Errorf("%q is read as %+v", data, j)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(Answer{Number: 1, Kind: Progress, News: News{"tls", "mx", 1, 2}}.Append(nil))
	f.Add(Answer{Number: 1, Kind: Done, Output: []byte("Kx\x00")}.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, ok := ParseAnswer(data); ok && string(a.Append(nil)) != string(data) {
			t.Errorf("%q is read as %+v", data, a)
		}
	})
}
