// Package openssl knows how OpenSSL, and so the control files of the TLS patch,
// name ciphers and versions. It must not know whose TLS is set up with them.
package openssl

import (
	"crypto/tls"
	"strings"
)

// Suites are the cipher suites in an OpenSSL cipher list, which names them one
// by one or by words such as DEFAULT and HIGH. Go's own choice, nil, stands
// for those words, and for a list without any suite that we have: rather a
// cipher that was not asked for than none. TLS 1.3's are not to be chosen.
func Suites(list string) []uint16 {
	var chosen []uint16
	for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		switch word {
		case "DEFAULT", "HIGH", "ALL", "COMPLEMENTOFDEFAULT":
			return nil
		}
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if openSSLName(suite.Name) == word || suite.Name == word {
				chosen = append(chosen, suite.ID)
			}
		}
	}
	return chosen
}

// CipherName is the name that OpenSSL, and so the Received fields of the TLS
// patch, have for a suite.
func CipherName(id uint16) string { return openSSLName(tls.CipherSuiteName(id)) }

// openSSLName turns TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 into
// ECDHE-RSA-AES128-GCM-SHA256. TLS 1.3's names are the same everywhere.
func openSSLName(name string) string {
	keys, cipher, ok := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !ok {
		return name
	}
	cipher = strings.TrimSuffix(cipher, "_SHA256")
	mac := "-SHA256"
	switch {
	case strings.HasSuffix(name, "_SHA384"):
		cipher, mac = strings.TrimSuffix(cipher, "_SHA384"), "-SHA384"
	case strings.HasSuffix(name, "_SHA"):
		cipher, mac = strings.TrimSuffix(cipher, "_SHA"), "-SHA"
	case strings.Contains(name, "CHACHA20"):
		mac = ""
	}
	cipher = strings.NewReplacer("AES_128", "AES128", "AES_256", "AES256", "_CBC", "", "3DES_EDE", "DES-CBC3", "_", "-").Replace(cipher)
	prefix := strings.ReplaceAll(keys, "_", "-") + "-"
	if keys == "RSA" {
		prefix = ""
	}
	return prefix + cipher + mac
}

// Version reads the number of a version of TLS; without one it is 1.2.
func Version(text string) uint16 {
	switch strings.TrimPrefix(strings.TrimSpace(text), "TLSv") {
	case "1", "1.0":
		return tls.VersionTLS10
	case "1.1":
		return tls.VersionTLS11
	case "1.3":
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
