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
