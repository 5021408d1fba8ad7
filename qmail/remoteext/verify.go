package remoteext

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/reqmail/reqmail/qmail/remote"
)

var errNoCertificate = errors.New("no certificate in it")

// verify judges a host's certificate. It returns what is wrong with it in the
// words of the TLS patch, which looks at the names itself: the common name
// counts where there are no alternative names of hosts.
func verify(chain []*x509.Certificate, authorities *x509.CertPool, o remote.TLSOptions) string {
	unable := "TLS unable to verify server " + o.Name + ": "
	if len(chain) == 0 {
		return unable + "no certificate provided"
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: authorities, Intermediates: between})
	name := chain[0].Subject.CommonName
	switch {
	case err != nil:
		return "TLS unable to verify server with " + o.Authorities + ": " + err.Error()
	case len(chain[0].DNSNames) > 0:
		for _, name := range chain[0].DNSNames {
			if matches(name, o.Name) {
				return ""
			}
		}
		return unable + "certificate contains no matching dNSNnames"
	case name == "":
		return unable + "certificate contains no valid commonName"
	case !matches(name, o.Name):
		return unable + "received certificate for " + name
	}
	return ""
}

// matches reports whether a name in a certificate is a host's. "*." at its
// beginning stands for one label.
func matches(name, host string) bool {
	host = strings.TrimSuffix(host, ".")
	if strings.EqualFold(name, host) {
		return true
	}
	domain, wild := strings.CutPrefix(name, "*.")
	label, rest, _ := strings.Cut(host, ".")
	return wild && label != "" && domain != "" && strings.EqualFold(domain, rest)
}
