package openssl

import (
	"crypto/tls"
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	for id, want := range map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256:                        "TLS_AES_128_GCM_SHA256",
		tls.TLS_RSA_WITH_AES_128_CBC_SHA:                  "AES128-SHA",
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
		tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA:                 "DES-CBC3-SHA",
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:         "ECDHE-RSA-AES128-SHA256",
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	} {
		if got := CipherName(id); got != want {
			t.Errorf("%s: got %s, want %s", tls.CipherSuiteName(id), got, want)
		}
	}
}

func TestCipherLists(t *testing.T) {
	for list, want := range map[string][]uint16{
		"":                       nil,
		"DEFAULT":                nil,
		"HIGH:!aNULL":            nil,
		"nonsense:!MD5":          nil,
		"AES128-SHA:AES256-SHA":  {tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA},
		"AES128-SHA nonsense +x": {tls.TLS_RSA_WITH_AES_128_CBC_SHA},
	} {
		if got := Suites(list); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", list, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]uint16{
		"": tls.VersionTLS12, "1.2": tls.VersionTLS12, "nonsense": tls.VersionTLS12,
		"1": tls.VersionTLS10, "TLSv1": tls.VersionTLS10, " 1.1 ": tls.VersionTLS11, "TLSv1.3": tls.VersionTLS13,
	} {
		if got := Version(text); got != want {
			t.Errorf("%q: got %x, want %x", text, got, want)
		}
	}
}
