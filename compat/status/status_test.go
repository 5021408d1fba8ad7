package status

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	const trouble = "Zqq trouble creating files in queue (#4.3.0)"
	tests := []struct {
		code int
		want string
	}{
		{0, ""},
		{11, "Denvelope address too long for qq (#5.1.3)"},
		{31, "Dmail server permanently rejected message (#5.3.0)"},
		{51, "Zqq out of memory (#4.3.0)"},
		{52, "Zqq timeout (#4.3.0)"},
		{53, "Zqq write error or disk full (#4.3.0)"},
		{54, "Zqq read error (#4.3.0)"},
		{55, "Zqq unable to read configuration (#4.3.0)"},
		{56, "Zqq trouble making network connection (#4.3.0)"},
		{61, "Zqq trouble in home directory (#4.3.0)"},
		{62, trouble}, {63, trouble}, {64, trouble}, {65, trouble}, {66, trouble},
		{71, "Zmail server temporarily rejected message (#4.3.0)"},
		{72, "Zconnection to mail server timed out (#4.4.1)"},
		{73, "Zconnection to mail server rejected (#4.4.1)"},
		{74, "Zcommunication with mail server failed (#4.4.2)"},
		{81, "Zqq internal bug (#4.3.0)"},
		{91, "Zqq internal bug (#4.3.0)"},
		{115, "Denvelope address too long for qq (#5.1.3)"},
		{120, "Zunable to exec qq (#4.3.0)"},
		// Codes without a text of their own: 11 to 40 are permanent.
		{12, "Dqq permanent problem (#5.3.0)"},
		{40, "Dqq permanent problem (#5.3.0)"},
		{10, "Zqq temporary problem (#4.3.0)"},
		{41, "Zqq temporary problem (#4.3.0)"},
		{82, "Zqq temporary problem (#4.3.0)"}, // custom, but nothing was said
		{111, "Zqq temporary problem (#4.3.0)"},
		{255, "Zqq temporary problem (#4.3.0)"},
		{-1, "Zqq temporary problem (#4.3.0)"},
	}
	for _, test := range tests {
		if got := Text(test.code, ""); got != test.want {
			t.Errorf("%d: %q", test.code, got)
		}
	}
}

func TestCustomText(t *testing.T) {
	tests := []struct {
		code         int
		custom, want string
	}{
		{82, "Dno thanks (#5.7.1)", "Dno thanks (#5.7.1)"},
		{82, "Z..", "Z.."},
		{82, "D.", "Zqq temporary problem (#4.3.0)"}, // too short to be one
		{31, "Zlater", "Dmail server permanently rejected message (#5.3.0)"},
		{0, "Dno", ""},
	}
	for _, test := range tests {
		if got := Text(test.code, test.custom); got != test.want {
			t.Errorf("%d %q: %q", test.code, test.custom, got)
		}
	}
}

// Every program takes the first letter for the verdict.
func TestVerdict(t *testing.T) {
	texts := []string{Crashed, WaitFailed}
	for code := 1; code < 256; code++ {
		texts = append(texts, Text(code, ""))
	}
	for _, text := range texts {
		enhanced := map[byte]string{'D': "(#5.", 'Z': "(#4."}[text[0]]
		if enhanced == "" || !strings.Contains(text, enhanced) {
			t.Errorf("%q", text)
		}
	}
}
