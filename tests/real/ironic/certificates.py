"""Makes two authorities and servers' certificates for 127.0.0.1 in a folder: certificates.py FOLDER."""
import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

folder = pathlib.Path(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.timedelta(days=1)


def key():
    return ec.generate_private_key(ec.SECP256R1())


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def signed(subject, public, issuer, issuer_key, begin, end, extensions):
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
               .serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def write(file, certificate, own_key=None):
    (folder / f'{file}.pem').write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    if own_key:
        (folder / f'{file}.key').write_bytes(own_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def authority(file):
    own = key()
    subject = name(f'authority {file} of a test')
    write(file, signed(subject, own.public_key(), subject, own, now - day, now + 30 * day,
                       [(x509.BasicConstraints(ca=True, path_length=None), True)]))
    return subject, own


def server(file, issuer, host, begin=now - day, end=now + 7 * day):
    subject, issuer_key = issuer
    own = key()
    write(file, signed(name(file), own.public_key(), subject, issuer_key, begin, end,
                       [(x509.SubjectAlternativeName([host]), False),
                        (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False)]), own)


ours, theirs = authority('authority'), authority('other-authority')
loopback = x509.IPAddress(ipaddress.ip_address('127.0.0.1'))
server('good', ours, loopback)
server('of-another-authority', theirs, loopback)
server('of-another-name', ours, x509.DNSName('ironic.invalid'))
server('expired', ours, loopback, now - 3 * day, now - 2 * day)
