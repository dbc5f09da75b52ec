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
