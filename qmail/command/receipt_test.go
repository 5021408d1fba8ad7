package command

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

const receiptText = "From: DELIVERY NOTICE SYSTEM <s@x>\nTo: <s@x>\nSubject: success notice\n\n" +
	"Hi! This is the qreceipt program. Your message was delivered to the\n" +
	"following address: joe@y. Thanks for asking.\n"

func TestQReceipt(t *testing.T) {
	const wanted = "Notice-Requested-Upon-Delivery-To: "
	for _, test := range []struct{ name, sender, message, want string }{
		{"asked for", "s@x", wanted + "joe@y\n\nbody\n", receiptText + "|F\x00Ts@x\x00\x00"},
		{"with an identity", "s@x", "Message-ID: <1@x>\n" + wanted + "joe@y\n\n", receiptText + "Your Message-ID: <1@x>\n|F\x00Ts@x\x00\x00"},
		{"the field as it is, and behind the request", "s@x", wanted + "joe@y\nMESSAGE-Id:  <1\n @x>\n\n",
			receiptText + "Your MESSAGE-Id:  <1\n @x>\n|F\x00Ts@x\x00\x00"},
		{"one of several", "s@x", wanted + "a@y, Joe <joe@y>,\n b@y\n\n", receiptText + "|F\x00Ts@x\x00\x00"},
		{"the second field", "s@x", wanted + "a@y\n" + wanted + "joe@y\n\n", receiptText + "|F\x00Ts@x\x00\x00"},
		{"a sender that needs quotes", "a b@x", wanted + "joe@y\n\n",
			strings.ReplaceAll(receiptText, "<s@x>", `<"a b"@x>`) + "|F\x00Ta b@x\x00\x00"},
		{"not asked for", "s@x", "Subject: x\n\n" + wanted + "joe@y\n", ""}, // that is the body
		{"for another address", "s@x", wanted + "joe@z, jo@y, JOE@y\n\n", ""},
		{"a bounce", "", wanted + "joe@y\n\n", ""},
		{"a double bounce", "#@[]", wanted + "joe@y\n\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			queued := queue(t, "")
			t.Setenv("SENDER", test.sender)
			f := files(t)
			f[0] = file(t, test.message)
			if code := QReceipt(f, []string{"joe@y"}); code != 0 || written(t, f[2]) != "" {
				t.Errorf("exit %d, said %q", code, written(t, f[2]))
			}
			if got, _ := os.ReadFile(queued); string(got) != test.want {
				t.Errorf("queued %q, want %q", got, test.want)
			}
		})
	}
}

func TestQReceiptFails(t *testing.T) {
	const wanted = "Notice-Requested-Upon-Delivery-To: joe@y\n\n"
	target := []string{"joe@y"}
	for _, test := range []struct {
		name    string
		args    []string
		message string
		prepare func(t *testing.T, f *Files)
		code    int
		want    string
	}{
		{"no operand", nil, wanted, nil, 100, "usage: qreceipt deliveryaddress"},
		{"no sender", target, wanted, func(t *testing.T, _ *Files) { unset(t, "SENDER") }, 100, "usage: qreceipt deliveryaddress"},
		{"no list of addresses", target, "Notice-Requested-Upon-Delivery-To: joe@y>\n\n", nil, 100,
			"fatal: unable to parse this: Notice-Requested-Upon-Delivery-To: joe@y>"},
		{"unreadable", target, "", func(t *testing.T, f *Files) { f[0] = open(t, "/", syscall.O_RDONLY) }, 111, "fatal: read error"},
		{"refused", target, wanted, func(t *testing.T, _ *Files) { queue(t, "exit 31") }, 100, "fatal: permanent qmail-queue error"},
		{"deferred", target, wanted, func(t *testing.T, _ *Files) { queue(t, "exit 71") }, 111, "fatal: temporary qmail-queue error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			queue(t, "")
			f := files(t)
			f[0] = file(t, test.message)
			if test.prepare != nil {
				test.prepare(t, &f)
			}
			if code := QReceipt(f, test.args); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			if got := written(t, f[2]); got != "qreceipt: "+test.want+"\n" {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}
