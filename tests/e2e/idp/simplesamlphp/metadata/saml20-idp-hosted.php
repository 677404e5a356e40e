<?php
$settings = json_decode(file_get_contents(getenv('UPDRAFT_IDP_DIRECTORY') . '/settings.json'), true);
$key = $settings['key'] ?? 'first';
$encrypt = $settings['encrypt'] ?? null;
$ciphers = [
    'aes128-gcm' => 'http://www.w3.org/2009/xmlenc11#aes128-gcm',
    'aes256-gcm' => 'http://www.w3.org/2009/xmlenc11#aes256-gcm',
    'aes256-cbc' => 'http://www.w3.org/2001/04/xmlenc#aes256-cbc',
];
$metadata['__DYNAMIC:1__'] = [
    'host' => '__DEFAULT__',
    'privatekey' => "$key.key.pem",
    'certificate' => "$key.certificate.pem",
    'auth' => 'people',
    'saml20.sign.response' => $settings['sign_response'] ?? true,
    'saml20.sign.assertion' => $settings['sign_assertion'] ?? true,
    'assertion.encryption' => $encrypt !== null,
    'sharedkey_algorithm' => $ciphers[$encrypt] ?? $ciphers['aes256-cbc'],
    'sign.logout' => true,
    'redirect.sign' => true,
    'validate.authnrequest' => true,
    'validate.logout' => true,
    'SingleSignOnServiceBinding' => ['urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect'],
    'SingleLogoutServiceBinding' => ['urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect'],
    'authproc' => [
        1 => [
            'class' => 'saml:AttributeNameID',
            'attribute' => 'uid',
            'Format' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
        ],
    ],
];
