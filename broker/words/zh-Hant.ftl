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

## Portal
portal-crumbs = 所在位置
portal-changed = 變更於
portal-offline = 這個家目前離線，您看到的可能不是最新狀態。
portal-offline-since = 最後聯絡：
portal-pending = 正在詢問這個家…
portal-done = 完成。
portal-refused-failed = 這個家無法完成這項操作。
portal-refused-unavailable = 裝置目前沒有回應。
portal-refused-policy = 這個家不允許這項操作。
portal-too-often = 操作太頻繁了，請稍候片刻。
portal-timed-out = 未及時收到回應。操作可能已執行，也可能沒有；請留意上方的狀態。
portal-control-offline = 目前無法連上這個家，沒有切換任何東西。
portal-revoked-title = 這個連結已失效
portal-revoked = 擁有者已收回連結，或連結已到期。請向傳給您的人索取新的連結。
portal-line-live = 即時
portal-line-polling = 每隔幾秒檢查一次
portal-line-again = 重新連線中…
portal-line-still = 顯示的是載入頁面時的狀態
portal-by-view = 透過 Latchkey 分享給您檢視
portal-by-control = 透過 Latchkey 分享給您
portal-state-on = 開啟
portal-state-off = 關閉
portal-state-open = 已打開
portal-state-closed = 已關上
portal-state-opening = 正在打開
portal-state-closing = 正在關上
portal-state-locked = 已上鎖
portal-state-unlocked = 未上鎖
portal-state-locking = 正在上鎖
portal-state-unlocking = 正在解鎖
portal-state-jammed = 卡住
portal-state-detected = 偵測到
portal-state-clear = 未偵測到
portal-state-wet = 潮濕
portal-state-dry = 乾燥
portal-state-low = 電量低
portal-state-normal = 正常
portal-state-hot = 過熱
portal-state-cold = 過冷
portal-state-connected = 已連線
portal-state-disconnected = 已斷線
portal-state-plugged-in = 已插上
portal-state-unplugged = 未插上
portal-state-running = 運轉中
portal-state-not-running = 未運轉
portal-state-home = 在家
portal-state-away = 外出
portal-state-heating = 暖氣
portal-state-cooling = 冷氣
portal-state-heating-cooling = 暖氣或冷氣
portal-state-automatic = 自動
portal-state-drying = 除濕
portal-state-fan-only = 僅送風
portal-state-playing = 播放中
portal-state-paused = 已暫停
portal-state-idle = 閒置
portal-state-standby = 待機
portal-state-buffering = 緩衝中
portal-state-cleaning = 清掃中
portal-state-docked = 已回充電座
portal-state-returning = 返回充電座
portal-state-error = 錯誤
portal-state-unavailable = 無法使用
portal-state-unknown = 尚無資料

## Tunnels
tunnels-no-home-title = 這裡沒有住家
tunnels-no-home = 沒有使用這個名稱的住家。網址可能打錯了。
tunnels-away-title = 這個住家目前離線
tunnels-away = 住家目前沒有連線。這個頁面每隔幾秒會自動重新查看。
tunnels-busy = 系統忙碌中或正在重新啟動。這個頁面每隔幾秒會自動重新查看。
tunnels-origin-down = 住家已連線，但那裡的 Home Assistant 沒有回應。它可能正在重新啟動；這個頁面會自動重新查看。
tunnels-broke = 住家回應時連線中斷了。這個頁面會自動再試一次。
tunnels-bad-request = 您的瀏覽器或中間的代理伺服器送出了無法安全轉送的要求。
## OAuth
oauth-consent-title = 允許存取
oauth-consent-heading = 要讓這個程式進來嗎？
oauth-it-may = 它將可以
oauth-scope-workspace-read = 查看您的工作區名稱
oauth-scope-smarthome-read = 查看您的住家及其連線狀態
oauth-scope-smarthome-tunnel = 使用通道的密鑰，將住家連上網際網路
oauth-scope-relay = 傳送您從住家分享的內容，並操作您允許操作的裝置
oauth-scope-shares-manage = 為住家中的裝置建立分享連結，以及撤銷連結
oauth-scope-tunnels-manage = 管理所有住家的通道
oauth-choose-something = 請至少勾選一項，或拒絕這個要求。
oauth-which-home = 這是哪一個住家？
oauth-home-taken = 已經有代理程式；新的會取代它
oauth-new-home = 新的住家
oauth-new-home-name = 新住家的名稱
oauth-new-home-default = 我的家
oauth-choose-home = 請先選擇一個住家。
oauth-name-home = 住家名稱須為 1 到 60 個字元。
oauth-leads-to = 完成後將前往
oauth-allow = 允許
oauth-deny = 拒絕
oauth-signed-in-as = 您目前登入的帳號是
oauth-not-you = 不是您？
oauth-not-yours = 您無法允許這個要求
oauth-needs-manager = 只有工作區的擁有者或管理員可以將代理程式連接到住家。請他們代為操作，或改用其他帳號登入。
oauth-cannot-ask = 無法處理這個要求
oauth-unknown-client = 本站不認得將您導向這裡的程式。沒有向它分享任何內容。
oauth-wrong-address = 將您導向這裡的程式要求把結果送到一個未登記的網址。沒有向它分享任何內容。
oauth-repeated = 這個要求重複指定了程式或網址。沒有向任何人分享內容。
oauth-device-title = 連接裝置
oauth-device-intro = 請輸入裝置或程式上顯示的代碼。
oauth-device-code = 代碼
oauth-device-continue = 繼續
oauth-device-from = 要求來自
oauth-device-near = 與您相同的網路
oauth-device-far = 與您不同的網路
oauth-device-when = 要求時間
oauth-minutes-ago = { $minutes ->
    [0] 不到一分鐘前
   *[other] { $minutes } 分鐘前
}
oauth-device-warning = 只有在這是您自己發起、而且您面前的裝置正顯示這組代碼時，才請繼續。如果代碼是別人傳給您的，請拒絕。
oauth-code-unknown = 沒有裝置在等待這組代碼。請檢查代碼；它也可能已過期，或已經有人回覆。
oauth-code-decided = 已經有人回覆這個要求了。
oauth-device-done = 已允許這個裝置
oauth-device-done-text = 您可以關閉這個頁面並回到裝置。幾秒後它會自動繼續。
oauth-device-denied = 已拒絕這個裝置
oauth-device-denied-text = 您可以關閉這個頁面。如果這不是您自己發起的，可能有人試圖進入；沒有向對方分享任何內容。
