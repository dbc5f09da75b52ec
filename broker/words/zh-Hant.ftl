### Words of the pages. Every key has its twin in en.ftl.

## Everywhere
skip-to-content = 跳到主要內容
sign-out = 登出

## Faults
fault-title = 沒有成功
fault-not-found = 這裡沒有內容。網址可能打錯了，或原本的內容已不存在。
fault-method = 這個網址不能這樣使用。
fault-forbidden = 您已登入，但沒有權限執行這項操作。
fault-unauthorized = 請先登入。
fault-forged = 這份表單已開啟太久，或來自其他地方。請返回、重新載入頁面後再試一次。
fault-bad = 這個要求有些地方不正確。
fault-refused = 這個連結無法開啟任何內容。它可能已被撤銷、已過期或不完整。請向傳給您的人索取新的連結。
fault-too-large = 內容超過這個頁面所能接受的大小。
fault-too-many = 次數太多了。請稍候再試。
fault-unavailable = 系統忙碌中或正在重新啟動，請稍候再試。
fault-internal = 我們這邊出了問題。問題已記錄下來，請再試一次。

## Accounts
accounts-sign-in-title = 歡迎回來
accounts-sign-in-lead = 登入以管理您的住家。
accounts-sign-in = 登入
accounts-email = 電子郵件
accounts-password = 密碼
accounts-first-run-title = 開始使用您的 Latchkey
accounts-first-run-lead = 您是第一位使用者。現在建立的帳號將擁有這台伺服器的第一個工作區。
accounts-name = 您的名字
accounts-password-rule = 至少 10 個字元。用三、四個隨意的詞組成，好記又不容易被猜到。
accounts-create = 建立帳號
accounts-wrong-password = 電子郵件或密碼不正確。請檢查後再試一次。
accounts-wrong-name = 請輸入您的名字，最多 80 個字元。
accounts-wrong-email = 這看起來不是有效的電子郵件地址。
accounts-wrong-new-password = 密碼至少需要 10 個字元。

## Moments
ago-now = 現在
ago-years = { $n } 年前
ahead-years = { $n } 年後
ago-months = { $n } 個月前
ahead-months = { $n } 個月後
ago-weeks = { $n } 週前
ahead-weeks = { $n } 週後
ago-days = { $n } 天前
ahead-days = { $n } 天後
ago-hours = { $n } 小時前
ahead-hours = { $n } 小時後
ago-minutes = { $n } 分鐘前
ahead-minutes = { $n } 分鐘後
