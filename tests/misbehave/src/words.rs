//! Text that does harm where it is shown as it is.

/// What a browser would run and a spreadsheet would compute; without control characters, which names may not have.
pub(crate) const MARKUP: &str =
    r#"<script>alert('guest-xss')</script><img src=x onerror=alert(1)>=cmd|'/C calc'!A1,@SUM(1),"{{7*7}}"#;

/// What a terminal would obey and a log would take for a line or a field of its own.
pub(crate) const ESCAPES: &str =
    "\u{1b}[31mred\u{1b}]0;title\u{7}\r\n{\"level\":\"ERROR\",\"fields\":{\"message\":\"forged-record\"}}\u{202e}\u{0}";
