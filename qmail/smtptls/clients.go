package smtptls

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/ascii"
	"github.com/reqmail/reqmail/control"
)

// readClients reads clientca.pem and clientcrl.pem. addresses are those of
// tlsclients.
func readClients(home string, addresses []string) (*clients, error) {
	c := &clients{authorities: x509.NewCertPool(), addresses: control.Set(addresses)}
	authorities, err := os.ReadFile(home + "/control/clientca.pem")
	if err != nil {
		return nil, err
	}
	c.authorities.AppendCertsFromPEM(authorities)
	lists, err := os.ReadFile(home + "/control/clientcrl.pem")
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, lists = pem.Decode(lists); block == nil {
			return c, nil
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		c.revoked = append(c.revoked, list)
	}
}

// judge returns the address in a client's certificate that may relay, or why
// there is none. A client without a certificate is told nothing.
func (c *clients) judge(chain []*x509.Certificate, now time.Time) (client, reason string) {
	if len(chain) == 0 {
		return "", ""
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: c.authorities, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "", ascii.Printable(err.Error())
	}
	for _, list := range c.revoked {
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(chain[0].SerialNumber) == 0 && string(list.RawIssuer) == string(chain[0].RawIssuer) {
				return "", "certificate revoked"
			}
		}
	}
	addresses := mailAddresses(chain[0])
	for _, addr := range addresses {
		if c.addresses.Has(addr) {
			return addr, ""
		}
	}
	if len(addresses) == 0 {
		return "", "no email address in the certificate"
	}
	return "", "email address of the certificate is not listed"
}

// mailAddresses are those in a certificate's subject (PKCS #9) and, as newer
// ones have it, in its alternative names.
func mailAddresses(cert *x509.Certificate) []string {
	emailAddress := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	var addresses []string
	for _, name := range cert.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(emailAddress) {
			addresses = append(addresses, ascii.Printable(text))
		}
	}
	for _, addr := range cert.EmailAddresses {
		addresses = append(addresses, ascii.Printable(addr))
	}
	return addresses
}
